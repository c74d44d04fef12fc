import { statement } from '@waybill/kernel/internal';
import type { SagaEvent, SagaInstance, SagaOutput } from '@waybill/saga';
import type { ModelServer } from '../../model/model-server.js';
import { Table } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';

/** A command to a participant. */
export type Command = Extract<SagaOutput, { readonly type: 'command' }>;

/** What a participant does with a command. The first is the simplest. */
export type Mood = 'done' | 'silence' | 'failed' | 'rejected';

/** A message under way, to the saga or to a participant. */
export interface SagaMessage {
  readonly id: number;
  readonly command?: Command;
  readonly event?: SagaEvent;
  /** It arrives no earlier. */
  readonly fromMs: number;
}

interface SagaRow {
  readonly instance: SagaInstance;
  readonly startedMs: number;
}

interface DeedRow {
  readonly step: string;
  readonly op: string;
  readonly state: 'done' | 'rejected' | 'barred';
}

/** Statements of the model: they stand for those of libs/saga/sql/engine and of the barrier in libs/guard. */
export const takeMessage = statement<[to: 'saga' | 'participant'], SagaMessage>('take-message', '');
export const loadSaga = statement<[], SagaRow>('load-saga', '');
export const storeSaga = statement<[SagaInstance, readonly Command[]], never>('store-saga', '');
export const localEffect = statement<[step: string, undo: boolean], never>('local-effect', '');
export const serve = statement<[Command, Mood], never>('serve', '');

/** Whether something of a saga is due, in milliseconds since its start. */
export function isDue({ steps, deadlineMs }: SagaInstance, nowMs: number): boolean {
  if (deadlineMs !== null && deadlineMs <= nowMs) return true;
  return Object.values(steps).some(({ dueMs }) => dueMs !== null && dueMs <= nowMs);
}

const UNDOING = new Map([['compensate', 'action']]);

/**
 * A model of what lies around the saga machine: the saga's row, which the engine reads under its lock and writes in the
 * transaction of the message; a log whose messages may be doubled, late and out of order; participants with barriers,
 * whose replies are written in the transaction of the effect.
 */
export class SagaModel {
  readonly saga = new Table<SagaRow>();
  readonly #messages = new Table<SagaMessage>();
  readonly #deeds = new Table<DeedRow>();
  #nextId = 1;

  constructor(
    private readonly server: ModelServer,
    instance: SagaInstance,
    private readonly bug: string | undefined,
  ) {
    const setup = server.begin('setup');
    server.xidOf(setup);
    this.saga.insert(setup, { instance, startedMs: server.world.nowMs });
    this.send(setup, { event: { type: 'start', data: {}, deadlineMs: instance.deadlineMs } });
    server.commit(setup);
    server.define({
      'take-message': this.#take.bind(this),
      'load-saga': this.#load.bind(this),
      'store-saga': this.#store.bind(this),
      'local-effect': (transaction: Transaction, step: string, undo: boolean) => {
        transaction.fact('effect', `${step}/${undo ? 'compensate' : 'action'}`);
        return [];
      },
      serve: this.#serve.bind(this),
    });
  }

  /** Whether messages are under way. */
  get isQuiet(): boolean {
    return this.#messages.committed.length === 0;
  }

  /** A probe: whether a message has arrived, or something of the saga is due. It takes no lock and no round trip. */
  hasWork(to: 'saga' | 'participant'): boolean {
    const { nowMs } = this.server.world;
    if (
      this.#messages.committed.some(
        (row) => (row.event !== undefined) === (to === 'saga') && row.fromMs <= nowMs,
      )
    )
      return true;
    const [saga] = this.saga.committed;
    return to === 'saga' && saga !== undefined && isDue(saga.instance, nowMs - saga.startedMs);
  }

  /** Writes a message; the network may double it or hold it up. */
  send(transaction: Transaction, message: Pick<SagaMessage, 'command' | 'event'>): void {
    const { world } = this.server;
    const copies = world.fault(12) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const delayMs = world.isStormy ? world.choices.oneOf([0, 0, 0, 500, 2_500]) : 0;
      this.#messages.insert(transaction, { ...message, id: this.#nextId, fromMs: world.nowMs + delayMs });
      this.#nextId += 1;
    }
    this.server.xidOf(transaction);
  }

  /** One that has arrived and that nothing else handles; removed with this transaction. */
  #take(transaction: Transaction, to: 'saga' | 'participant'): SagaMessage[] {
    const { world, locks } = this.server;
    const ready = this.#messages
      .seen(this.server.snapshot(), transaction)
      .filter(({ row }) => (row.event !== undefined) === (to === 'saga') && row.fromMs <= world.nowMs)
      .filter(({ row }) => locks.tryTake(`message ${row.id}`, transaction, 'exclusive'));
    const version = ready[ready.length < 2 ? 0 : world.choices.below(ready.length)];
    if (version === undefined) return [];
    this.#messages.remove(transaction, version);
    this.server.xidOf(transaction);
    return [version.row];
  }

  async #load(transaction: Transaction): Promise<SagaRow[]> {
    if (this.bug !== 'no-row-lock') await this.server.locks.take('saga', transaction, 'exclusive');
    return this.server.rows(this.saga, transaction);
  }

  #store(transaction: Transaction, instance: SagaInstance, commands: readonly Command[]): never[] {
    const [version] = this.saga.seen(this.server.snapshot(), transaction);
    if (version !== undefined) this.saga.replace(transaction, version, { instance });
    for (const command of commands) {
      transaction.fact('sent', command);
      this.send(transaction, { command });
    }
    this.server.xidOf(transaction);
    return [];
  }

  /** A participant: barrier, effect and reply in one transaction. */
  async #serve(transaction: Transaction, command: Command, mood: Mood): Promise<never[]> {
    const { step, op, attempt } = command;
    const origin = UNDOING.get(op);
    await this.server.locks.take(`barrier ${step}`, transaction, 'exclusive');
    const reply = (status: 'done' | 'failed' | 'rejected'): void =>
      this.send(transaction, { event: { type: 'reply', step, op, attempt, status, payload: {} } });
    const deeds = this.server.rows(this.#deeds, transaction).filter((deed) => deed.step === step);
    const known = deeds.find((deed) => deed.op === op);
    if (mood === 'failed') reply('failed');
    // What has happened has its reply: a copy gets none.
    if (mood === 'failed' || mood === 'silence') return [];
    if (known !== undefined && !(command.again && known.state === 'rejected')) return [];
    const first = deeds.find((deed) => deed.op === origin)?.state;
    const deed = (name: string, state: DeedRow['state']): void =>
      this.#deeds.insert(transaction, { step, op: name, state });
    if (origin !== undefined && (first === undefined || first === 'rejected')) {
      deed(op, 'done');
      if (first === undefined && this.bug !== 'no-barrier') deed(origin, 'barred');
      reply('done');
      return [];
    }
    deed(op, mood);
    if (mood === 'done') transaction.fact('effect', `${step}/${op}`);
    reply(mood);
    return [];
  }
}
