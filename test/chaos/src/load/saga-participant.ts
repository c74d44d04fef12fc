import { setTimeout as sleep } from 'node:timers/promises';
import { type Delivery, resolveSubscription, type Subscription } from '@waybill/consumer';
import type { PgTransactionHandle } from '@waybill/kernel';
import type { Outbox } from '@waybill/outbox';
import { SagaLocks, SagaOngoingError, SagaRejectedError } from '@waybill/saga';
import { OutboxReplies, SAGA_ID_HEADER, SagaCommandServer } from '@waybill/saga/internal';
import { COMMANDS, type Order, recordEffect } from './saga-definitions.js';

/** Longest time after which a late answer is due, in milliseconds: longer than a hasty saga waits. */
const LATE_MS = 6_000;
const SLOW_MS = 400;
/** Money that is charged and not yet settled, and where it ends. */
const ESCROW = 'escrow';
const SHOP = 'shop';

/** What a command does, in the transaction of its delivery. */
interface Call {
  readonly order: Order;
  readonly sagaId: string;
  readonly control: Delivery['control'];
  readonly attempt: number;
  readonly transaction: PgTransactionHandle;
}

/** Serves the commands of the sagas: stock, bank and shipping. Its handlers do what they are asked, each time they run. */
export class SagaParticipant {
  readonly #server: SagaCommandServer;

  constructor(
    outbox: Outbox,
    private readonly random: () => number,
  ) {
    const replies = new OutboxReplies(outbox);
    this.#server = new SagaCommandServer({ replies, locks: new SagaLocks(replies) });
  }

  subscriptions(): Subscription[] {
    const works: Readonly<Record<keyof typeof COMMANDS, (call: Call) => Promise<unknown>>> = {
      reserve: (call) => reserve(call),
      release: (call) => release(call),
      charge: (call) => this.#charge(call),
      refund: (call) => refund(call),
      ship: (call) => ship(call),
      settle: (call) => settle(call),
    };
    const retry = { immediateAttempts: 0, delayMs: 20, maxDelayMs: 200, maxAttempts: 3 };
    return Object.entries(works).map(([name, work]) =>
      resolveSubscription(
        COMMANDS[name as keyof typeof COMMANDS],
        (delivery) => this.#server.serve(delivery, () => work(callOf(delivery))),
        { replies: true, retry, maxProcessingMs: 4_000 },
      ),
    );
  }

  /**
   * Answers one charge that is due to be answered late, in the transaction. @returns whether one was due
   * @param answering called with its id before it is answered
   * @throws SagaCommandOverError when the saga has given it up: then the transaction must be rolled back
   */
  async answerLate(transaction: PgTransactionHandle, answering: (id: string) => void): Promise<boolean> {
    const { rows } = await transaction.query<{
      id: string;
      sagaId: string;
      control: Delivery['control'];
      order: Order;
    }>(
      `delete from late_answer where id = (
         select l.id from late_answer l where l.due_at <= clock_timestamp()
          order by l.due_at limit 1 for update skip locked)
       returning id, saga_id as "sagaId", control, "order"`,
    );
    const [row] = rows;
    if (row === undefined) return false;
    answering(row.id);
    const { sagaId, control, order } = row;
    const refusal = order.scenario === 'late' ? await refusalOf(pay(transaction, sagaId, order)) : undefined;
    await this.#server.reply(
      transaction,
      control,
      refusal === undefined ? { status: 'done', payload: {} } : { status: 'rejected', reason: refusal },
    );
    return true;
  }

  async #charge(call: Call): Promise<object> {
    const { order, sagaId, control, transaction } = call;
    if (order.scenario === 'silent') throw new SagaOngoingError({ hasEffect: false });
    if (order.scenario !== 'late') await pay(transaction, sagaId, order);
    // After the effect: what it wrote has to be rolled back.
    await stumble(call);
    if (order.scenario === 'no-money') throw new SagaRejectedError('no cover');
    if (order.scenario !== 'late' && order.scenario !== 'late-effect') return {};
    await transaction.query(
      `insert into late_answer (saga_id, control, "order", due_at)
       values ($1, $2, $3, clock_timestamp() + $4 * interval '1 millisecond')`,
      [sagaId, JSON.stringify(control), JSON.stringify(order), this.random() * LATE_MS],
    );
    throw new SagaOngoingError({ hasEffect: order.scenario === 'late-effect' });
  }
}

function callOf({ control, payload, transaction, attempt }: Delivery): Call {
  return {
    order: payload as Order,
    sagaId: control[SAGA_ID_HEADER] ?? '',
    control,
    attempt,
    transaction: transaction as PgTransactionHandle,
  };
}

/** Some handlers fail at their first attempts, some are slow. */
async function stumble({ order: { scenario }, attempt }: Call): Promise<void> {
  if (scenario === 'slow') await sleep(SLOW_MS);
  if (scenario === 'flaky' && attempt <= 2) throw new Error(`attempt ${attempt} fails`);
}

async function transfer(
  transaction: PgTransactionHandle,
  from: string,
  to: string,
  pence: number,
): Promise<void> {
  // In the order of the names, so that transfers do not deadlock.
  const changes = new Map([
    [from, -pence],
    [to, pence],
  ]);
  for (const name of [from, to].toSorted())
    await transaction.query('update account set pence = pence + $2 where name = $1', [
      name,
      changes.get(name),
    ]);
}

async function pay(
  transaction: PgTransactionHandle,
  sagaId: string,
  { customer, pence }: Order,
): Promise<void> {
  const { rows } = await transaction.query<{ pence: number }>(
    'select pence from account where name = $1 for update',
    [customer],
  );
  if ((rows[0]?.pence ?? 0) < pence) throw new SagaRejectedError('the account is empty');
  await transfer(transaction, customer, ESCROW, pence);
  await recordEffect(transaction, sagaId, 'charge', 'do');
}

/** Why the business refuses; undefined when it does not. */
async function refusalOf(work: Promise<void>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof SagaRejectedError) return error.reason;
    throw error;
  }
}

async function reserve(call: Call): Promise<object> {
  const { order, sagaId, transaction } = call;
  const { rowCount } = await transaction.query(
    'update stock set pieces = pieces - 1 where sku = $1 and pieces > 0',
    [order.sku],
  );
  if (rowCount === 0) throw new SagaRejectedError('it is sold out');
  await recordEffect(transaction, sagaId, 'reserve', 'do');
  await stumble(call);
  if (order.scenario === 'no-stock') throw new SagaRejectedError('it is broken');
  return {};
}

async function release({ order, sagaId, transaction }: Call): Promise<object> {
  await transaction.query('update stock set pieces = pieces + 1 where sku = $1', [order.sku]);
  await recordEffect(transaction, sagaId, 'reserve', 'undo');
  return {};
}

async function refund(call: Call): Promise<object> {
  const { order, sagaId, transaction } = call;
  await transfer(transaction, ESCROW, order.customer, order.pence);
  await recordEffect(transaction, sagaId, 'charge', 'undo');
  await stumble(call);
  return {};
}

async function ship(call: Call): Promise<object> {
  const { order, sagaId, transaction } = call;
  await recordEffect(transaction, sagaId, 'ship', 'do');
  await stumble(call);
  if (order.scenario === 'no-lorry') throw new SagaRejectedError('no lorry');
  return {};
}

async function settle(call: Call): Promise<object> {
  const { order, sagaId, transaction } = call;
  await transfer(transaction, ESCROW, SHOP, order.pence);
  await recordEffect(transaction, sagaId, 'settle', 'do');
  await stumble(call);
  return {};
}
