import { appendedMessages, messageIdOf } from '../../model/appended-messages.js';
import { type ModelServer, SqlError } from '../../model/model-server.js';
import { Table, type Version } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';

interface TimerRow {
  readonly id: number;
  readonly dueMs: number;
  readonly message: number;
}

/**
 * A model of the timers: ports of libs/timer/sql (probe-timers, claim-timers, cancel-timers, reschedule-timers) and of
 * the functions that they call in libs/schema/migrations/0004-timer.sql. Its slots are one: what lies far ahead is left
 * to the tests.
 */
export class TimerModel {
  readonly timers = new Table<TimerRow>();
  readonly log = new Table<{ readonly message: number }>();
  #nextId = 1;

  constructor(
    private readonly server: ModelServer,
    private readonly bug: string | undefined,
  ) {
    server.define({
      'probe-timers': this.#probe.bind(this),
      'claim-timers': this.#claim.bind(this),
      'promote-timers': () => [{ moved: 0 }],
      'empty-timer-slot': () => [{ emptied: false }],
      'append-records': this.#append.bind(this),
    });
  }

  /** Port of timer_schedule: a time in the past becomes now. */
  schedule(transaction: Transaction, message: number, wantedMs: number): number {
    this.server.xidOf(transaction);
    const dueMs = Math.max(wantedMs, this.server.world.nowMs);
    this.timers.insert(transaction, { id: this.#nextId, dueMs, message });
    this.#nextId += 1;
    return dueMs;
  }

  /** Port of timer_cancel: one that is being fired is waited for, and not counted. */
  async cancel(transaction: Transaction, message: number): Promise<boolean> {
    const version = await this.#locked(transaction, message);
    if (version === undefined) return false;
    this.timers.remove(transaction, version);
    return true;
  }

  /** Port of timer_reschedule. @returns the new due time, unless it is gone */
  async reschedule(transaction: Transaction, message: number, wantedMs: number): Promise<number | undefined> {
    const version = await this.#locked(transaction, message);
    if (version === undefined) return undefined;
    const dueMs = Math.max(wantedMs, this.server.world.nowMs);
    this.timers.replace(transaction, version, { dueMs });
    return dueMs;
  }

  async #locked(transaction: Transaction, message: number): Promise<Version<TimerRow> | undefined> {
    const find = (): Version<TimerRow> | undefined =>
      this.timers.seen(this.server.snapshot(), transaction).find(({ row }) => row.message === message);
    if (find() === undefined) return undefined;
    await this.server.locks.take(`timer ${message}`, transaction, 'exclusive');
    this.server.xidOf(transaction);
    return find();
  }

  #due(transaction: Transaction, lowMs: number): Version<TimerRow>[] {
    return this.timers
      .seen(this.server.snapshot(), transaction)
      .filter(({ row }) => row.dueMs >= lowMs)
      .toSorted((a, b) => a.row.dueMs - b.row.dueMs || a.row.id - b.row.id);
  }

  #probe(transaction: Transaction, lowMs: number): unknown[] {
    return [{ nowMs: this.server.world.nowMs, nextMs: this.#due(transaction, lowMs)[0]?.row.dueMs ?? null }];
  }

  #claim(
    transaction: Transaction,
    lowMs: number,
    _kinds: unknown,
    limit: number,
    leaseMs: number,
  ): unknown[] {
    const { world, locks } = this.server;
    const isUnlocked = this.bug === 'claim-without-locks';
    // lock_timeout is 50 ms: a lock that is held now is left for the next time.
    if (!isUnlocked && !locks.tryTake('timer', transaction, 'exclusive'))
      throw new SqlError('55P03', 'another process claims timers');
    // idle_in_transaction_session_timeout
    world.spawn(async () => {
      await world.sleep(leaseMs);
      this.server.rollback(transaction);
    });
    const { nowMs } = world;
    const claimed = this.#due(transaction, lowMs)
      .filter(({ row }) => row.dueMs <= nowMs)
      .slice(0, limit)
      .filter(({ row }) => isUnlocked || locks.tryTake(`timer ${row.message}`, transaction, 'exclusive'));
    for (const version of claimed) {
      this.server.xidOf(transaction);
      this.timers.remove(transaction, version);
    }
    return claimed.map(({ row: { id, dueMs, message } }) => ({
      nowMs,
      dueMs,
      id,
      kind: 1,
      messageId: messageIdOf(message),
      token: null,
      topic: 'orders',
      partition: null,
      key: 'a',
      headers: null,
      payload: null,
    }));
  }

  #append(
    transaction: Transaction,
    partitionIds: readonly number[],
    _counts: unknown,
    byteLengths: readonly number[],
    _times: unknown,
    _sequences: unknown,
    data: Buffer,
  ): never[] {
    this.server.xidOf(transaction);
    for (const { message } of appendedMessages(partitionIds, byteLengths, data)) {
      this.log.insert(transaction, { message });
      transaction.fact('fired', message);
    }
    return [];
  }
}
