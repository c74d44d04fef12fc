import { type AppendedMessage, appendedMessages } from '../../model/appended-messages.js';
import { type ModelServer, SqlError } from '../../model/model-server.js';
import { Snapshot } from '../../model/snapshot.js';
import { Table } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';
import { binaryRow, type OutboxModelRow, selects } from './outbox-copy.js';

interface CursorRow {
  readonly seq: number;
  readonly base: string;
  readonly target: string | null;
  readonly windowId: number | null;
  readonly windowEnd: number | null;
}

/** A message in the model's log. */
export interface LogModelRow extends AppendedMessage {
  readonly offset: number;
}

/** Slots of the model's outbox. */
export const SLOTS = 2;

/**
 * A model of the outbox, the relay's cursor and the log. Its statements are ports of libs/outbox/sql/relay/*.sql and of
 * the functions that they call in libs/schema/migrations/0002-outbox.sql (relay_begin, relay_probe, relay_advance,
 * outbox_empty_slot) and 0001-log.sql (log_append).
 */
export class RelayModel {
  readonly outbox = new Table<OutboxModelRow>();
  readonly cursor = new Table<CursorRow>();
  readonly log = new Table<LogModelRow>();
  #nextId = 1;

  constructor(
    private readonly server: ModelServer,
    private readonly bug: string | undefined,
  ) {
    const first = server.begin('setup');
    server.xidOf(first);
    const base = server.snapshot().text;
    this.cursor.insert(first, { seq: 1, base, target: null, windowId: null, windowEnd: null });
    server.commit(first);
    server.copy = (transaction, text) => this.#copy(transaction, text);
    server.define({
      'relay-begin': this.#begin.bind(this),
      'relay-probe': (transaction: Transaction, base: string) => [
        { waiting: this.#waits(transaction, base) },
      ],
      'relay-advance': this.#advance.bind(this),
      'append-records': this.#append.bind(this),
    });
  }

  /** Inserts a message: its id is drawn now, its transaction commits whenever it does. */
  async publish(transaction: Transaction, key: string, message: number): Promise<void> {
    const { world } = this.server;
    const slot = Math.floor(world.nowMs / 1_000) % SLOTS;
    await this.server.locks.take(`slot ${slot}`, transaction, 'share');
    const id = this.#nextId;
    this.#nextId += 1;
    const xid = this.server.xidOf(transaction);
    this.outbox.insert(transaction, { id, xid, key, message, slot, atMs: world.nowMs });
  }

  /** What is committed of the cursor. */
  get newestCursor(): CursorRow {
    return newestOf(this.cursor.committed);
  }

  #newest(transaction: Transaction): CursorRow {
    return newestOf(this.server.rows(this.cursor, transaction));
  }

  #begin(transaction: Transaction, measureLimit: number, leaseMs: number): unknown[] {
    const { world, locks } = this.server;
    if (this.bug !== 'no-relay-lock' && !locks.tryTake('relay', transaction, 'exclusive'))
      return [{ state: 'busy' }];
    // idle_in_transaction_session_timeout
    world.spawn(async () => {
      await world.sleep(leaseMs);
      if (transaction.state === 'open')
        world.note(() => `the server ends the idle session of ${transaction.owner}`);
      this.server.rollback(transaction);
    });
    const { seq, base, target, windowId, windowEnd } = this.#newest(transaction);
    if (target !== null) return [{ state: 'ready', seq, base, target, windowId, windowEnd, inWindows: true }];
    const snapshot = this.server.snapshot();
    const { xmax, xip } = Snapshot.parse(base);
    const ids = this.server
      .rows(this.outbox, transaction)
      .filter(({ xid }) => (xid >= xmax || xip.has(xid)) && snapshot.hasEnded(xid))
      .map(({ id }) => id);
    const inWindows = ids.length > measureLimit;
    return [
      {
        state: ids.length === 0 ? 'idle' : 'ready',
        seq,
        base,
        target: snapshot.text,
        windowId: inWindows ? Math.min(...ids) - 1 : null,
        windowEnd: inWindows ? Math.max(...ids) : null,
        inWindows,
      },
    ];
  }

  #waits(transaction: Transaction, base: string): boolean {
    const { xmax, xip } = Snapshot.parse(base);
    return this.server.rows(this.outbox, transaction).some(({ xid }) => xid >= xmax || xip.has(xid));
  }

  async #copy(transaction: Transaction, text: string): Promise<Buffer[]> {
    for (let slot = 0; slot < SLOTS; slot += 1)
      await this.server.locks.take(`slot ${slot}`, transaction, 'share');
    return this.server
      .rows(this.outbox, transaction)
      .filter((row) => selects(text, row))
      .toSorted((a, b) => a.id - b.id)
      .map(binaryRow);
  }

  #advance(
    transaction: Transaction,
    afterSeq: number,
    base: string,
    target: string | null,
    windowId: number | null,
    windowEnd: number | null,
  ): unknown[] {
    const { seq } = this.#newest(transaction);
    if (seq !== afterSeq && this.bug !== 'no-relay-lock')
      throw new SqlError('WB004', `another relay moved the cursor from ${afterSeq} to ${seq}`);
    this.server.xidOf(transaction);
    transaction.fact('moved', base);
    this.cursor.insert(transaction, { seq: Math.max(seq, afterSeq) + 1, base, target, windowId, windowEnd });
    return [];
  }

  async #append(
    transaction: Transaction,
    partitionIds: readonly number[],
    _counts: readonly number[],
    byteLengths: readonly number[],
    _times: unknown,
    _sequences: unknown,
    data: Buffer,
  ): Promise<unknown[]> {
    for (const id of [...new Set(partitionIds)].toSorted((a, b) => a - b))
      await this.server.locks.take(`append ${id}`, transaction, 'exclusive');
    this.server.xidOf(transaction);
    const next = (partitionId: number): number =>
      this.server
        .rows(this.log, transaction)
        .filter((row) => row.partitionId === partitionId)
        .reduce((end, row) => Math.max(end, row.offset + 1), 0);
    const appended = partitionIds.map((partitionId) => ({ partitionId, baseOffset: next(partitionId) }));
    for (const message of appendedMessages(partitionIds, byteLengths, data))
      this.log.insert(transaction, { ...message, offset: next(message.partitionId) });
    return appended;
  }

  /** Port of outbox_empty_slot: empties a slot if the cursor shows that all its messages have been moved. */
  async emptySlot(slot: number, retentionMs: number): Promise<void> {
    const { world, locks } = this.server;
    const transaction = this.server.begin('retention');
    const rows = (): OutboxModelRow[] =>
      this.server.rows(this.outbox, transaction).filter((row) => row.slot === slot);
    const isOld = (): boolean => rows().every(({ atMs }) => atMs <= world.nowMs - retentionMs);
    const isMoved = (): boolean => {
      const { xmax, xip } = Snapshot.parse(this.#newest(transaction).base);
      return !rows().some(({ xid }) => xid >= xmax || xip.has(xid));
    };
    const early = rows().length > 0 && isOld() && isMoved();
    await world.step('retention locks a slot');
    // lock_timeout is 50 ms: a lock that is held now is left for the next time.
    if (locks.tryTake(`slot ${slot}`, transaction, 'exclusive')) {
      const mayEmpty = this.bug === 'check-before-lock' ? early : rows().length > 0 && isOld() && isMoved();
      if (mayEmpty) {
        world.note(() => `retention empties slot ${slot}`);
        transaction.fact('moved', slot);
        // TRUNCATE removes every row, visible or not.
        for (const version of this.outbox.seen(this.server.snapshot(), transaction))
          if (version.row.slot === slot) this.outbox.remove(transaction, version);
      }
    }
    this.server.xidOf(transaction);
    this.server.commit(transaction);
  }
}

function newestOf(rows: readonly CursorRow[]): CursorRow {
  return rows.reduce((a, b) => (a.seq > b.seq ? a : b));
}
