import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer } from '@waybill/consumer';
import { type PgTransactionHandle, PgTransactionRunner } from '@waybill/kernel';
import { Outbox } from '@waybill/outbox';
import { SagaCommandOverError, SagaDefinitions, SagaEngine, SagaLoop, Sagas } from '@waybill/saga';
import { openProgram, type ProgramSettings, settingsOf } from './program.js';
import { seededRandom } from './random.js';
import { hastyOrder, type Order, patientOrder, sagaOf, type Scenario } from './saga-definitions.js';
import { SagaParticipant } from './saga-participant.js';
import { SAGA_GROUP } from './topic.js';

interface SagaSettings extends ProgramSettings {
  readonly perSecond: number;
  readonly customers: readonly string[];
  readonly skus: readonly string[];
  readonly leaseMs: number;
  readonly heartbeatMs: number;
}

/** How often each scenario comes, of 100 orders; the rest is good. */
const SHARES: readonly (readonly [Scenario, number])[] = [
  ['no-stock', 4],
  ['no-money', 4],
  ['no-lorry', 7],
  ['silent', 2],
  ['flaky', 8],
  ['slow', 8],
  ['late', 6],
  ['late-effect', 6],
];
const ANSWER_EVERY_MS = 100;
const START_MS = 10_000;

const settings = settingsOf<SagaSettings>();
const random = seededRandom(settings.seed);
let starting = true;
let answering = true;
const chores: Promise<void>[] = [];
let consumer: Consumer | undefined;
let loop: SagaLoop | undefined;
const { database, log, logger, history } = openProgram(
  settings,
  async () => {
    starting = false;
    answering = false;
    await Promise.all(chores);
    await loop?.stop();
    await consumer?.stop();
  },
  16,
);
const transactions = new PgTransactionRunner(database);
const outbox = new Outbox();
const definitions = new SagaDefinitions([patientOrder, hastyOrder]);
const engine = new SagaEngine({ definitions, outbox, group: SAGA_GROUP, logger });
const sagas = new Sagas({ engine, schema: 'waybill', outbox, transactions });
const participant = new SagaParticipant(outbox, random);
loop = new SagaLoop({ engine, definitions, transactions, logger }, { pollMs: 100 });

const run = <T>(work: (transaction: PgTransactionHandle) => Promise<T>): Promise<T> =>
  transactions.run({ work: ({ handle }) => work(handle), timeoutMs: START_MS });
const some = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;

function someScenario(): Scenario {
  let share = random() * 100;
  for (const [scenario, size] of SHARES) {
    share -= size;
    if (share < 0) return scenario;
  }
  return 'good';
}

/** Places an order and starts its saga, in one transaction. */
async function place(orderId: string): Promise<void> {
  const { customers, skus } = settings;
  const pence = 1 + Math.floor(random() * 500);
  const order: Order = {
    orderId,
    scenario: someScenario(),
    sku: some(skus),
    customer: some(customers),
    pence,
  };
  history.write({ f: 'saga', type: 'invoke', key: orderId });
  await run(async (transaction) => {
    const { id } = await sagas.start(transaction, sagaOf(order), { key: orderId, data: order });
    await transaction.query(
      'insert into placed_order (key, saga_id, scenario, sku, customer, pence) values ($1, $2, $3, $4, $5, $6)',
      [orderId, id, order.scenario, order.sku, order.customer, pence],
    );
  }).then(
    () => history.write({ f: 'saga', type: 'ok', key: orderId }),
    // The connection may have been lost during the commit.
    () => history.write({ f: 'saga', type: 'info', key: orderId }),
  );
}

async function placeOrders(): Promise<void> {
  for (let count = 0; starting; count += 1) {
    await place(`${settings.name}/${count}`);
    await sleep(1_000 / settings.perSecond);
  }
}

/** Answers what is due to be answered late. What its saga has given up in the meantime is forgotten. */
async function answerLate(): Promise<void> {
  while (answering) {
    let id: string | undefined;
    const answered = await run((transaction) =>
      participant.answerLate(transaction, (one) => {
        id = one;
      }),
    ).catch(async (error: unknown) => {
      if (!(error instanceof SagaCommandOverError)) return false;
      await database.pool.query('delete from late_answer where id = $1', [id]).catch(() => {});
      return true;
    });
    if (!answered) await sleep(ANSWER_EVERY_MS);
  }
}

// The runner ends the load; sagas that are under way continue.
process.on('SIGHUP', () => {
  starting = false;
});
const { leaseMs, heartbeatMs } = settings;
consumer = new Consumer(
  {
    group: SAGA_GROUP,
    subscriptions: [...loop.subscriptions(), ...participant.subscriptions()],
    database,
    transactions,
    log,
    logger,
  },
  { leaseMs, heartbeatMs, maxCrashes: 100, drainMs: 5_000 },
);
await consumer.start();
loop.start();
console.log('ready');
chores.push(placeOrders(), answerLate());
await Promise.all(chores);
