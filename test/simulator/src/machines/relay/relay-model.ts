import { type ModelServer, SqlError } from '../../model/model-server.js';
import { Snapshot } from '../../model/snapshot.js';
import { Table } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';
import { binaryRow, type OutboxModelRow, selects } from './outbox-copy.js';

interface IntentRow {
  readonly n: number;
  readonly token: string;
  readonly tokenBefore: string | null;
  readonly base: string;
  readonly target: string;
  readonly afterId: number;
  readonly uptoId: number;
  readonly endId: number;
  readonly rowCount: number;
  readonly confirmedN: number;
  readonly madeAtMs: number;
}

/** Slots of the model's outbox. */
export const SLOTS = 2;

/**
 * A model of the outbox and of the relay's passes. Its statements are ports of libs/outbox/sql/relay/*.sql and of the functions
 * that they call in libs/schema/migrations/service/0005-relay.sql (relay_newest, relay_intents, relay_begin, relay_probe,
 * relay_intend, outbox_empty_slot).
 */
export class RelayModel {
  readonly outbox = new Table<OutboxModelRow>();
  readonly intents = new Table<IntentRow>();
  #nextId = 1;

  constructor(
    private readonly server: ModelServer,
    private readonly bug: string | undefined,
  ) {
    const first = server.begin('setup');
    server.xidOf(first);
    const base = server.snapshot().text;
    const nothing = { afterId: 0, uptoId: 0, endId: 0, rowCount: 0, confirmedN: 0, madeAtMs: 0 };
    this.intents.insert(first, { n: 0, token: 'none', tokenBefore: null, base, target: base, ...nothing });
    server.commit(first);
    server.copy = (transaction, text) => this.#copy(transaction, text);
    server.define({
      'bind-service': () => [{ serviceId: 'service', logEpoch: 1 }],
      'relay-newest': (transaction: Transaction) => {
        const { madeAtMs, ...newest } = this.#newest(transaction);
        return [{ ...newest, madeMsAgo: server.world.nowMs - madeAtMs }];
      },
      'relay-intents': (transaction: Transaction, fromN: number, toN: number) =>
        server
          .rows(this.intents, transaction)
          .filter(({ n }) => n >= fromN && n <= toN)
          .toSorted((one, other) => one.n - other.n)
          .map((row) => ({ ...row, version: 0, excluded: [] })),
      'relay-begin': this.#begin.bind(this),
      'relay-probe': (transaction: Transaction, base: string) => [
        { waiting: this.#waits(transaction, base) },
      ],
      'relay-intend': this.#intend.bind(this),
      'filled-slots': (transaction: Transaction) => [
        { slots: [...new Set(server.rows(this.outbox, transaction).map(({ slot }) => slot))] },
      ],
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

  /** Up to where the passes lead, to a number. */
  cursorAt(passN: number): string {
    const pass = this.intents.committed.find(({ n }) => n === passN);
    if (pass === undefined) throw new Error(`there is no pass ${passN}`);
    return cursorOf(pass);
  }

  #newest(transaction: Transaction): IntentRow {
    return newestOf(this.server.rows(this.intents, transaction));
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
    const newest = this.#newest(transaction);
    const { n, token, confirmedN, uptoId, endId } = newest;
    if (uptoId < endId) {
      const { base, target } = newest;
      const window = { windowId: uptoId, windowEnd: endId, inWindows: true };
      return [{ state: 'ready', n, token, confirmedN, base, target, ...window }];
    }
    const base = newest.target;
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
        n,
        token,
        confirmedN,
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

  #intend(
    transaction: Transaction,
    afterN: number,
    tokenBefore: string,
    token: string,
    base: string,
    target: string,
    afterId: number,
    uptoId: number,
    endId: number,
    rowCount: number,
    _excluded: unknown,
    confirmed: number,
  ): unknown[] {
    const newest = this.#newest(transaction);
    if ((newest.n !== afterN || newest.token !== tokenBefore) && this.bug !== 'no-relay-lock')
      throw new SqlError('WB004', `another relay made pass ${newest.n} after pass ${afterN}`);
    this.server.xidOf(transaction);
    transaction.fact('moved', target);
    this.intents.insert(transaction, {
      n: afterN + 1,
      token,
      tokenBefore,
      base,
      target,
      afterId,
      uptoId,
      endId,
      rowCount,
      confirmedN: Math.max(confirmed, newest.confirmedN),
      madeAtMs: this.server.world.nowMs,
    });
    return [];
  }

  /** Port of outbox_empty_slot: empties a slot if all its messages are in the log by its own answer. */
  async emptySlot(slot: number, retentionMs: number): Promise<void> {
    const { world, locks } = this.server;
    const transaction = this.server.begin('retention');
    const rows = (): OutboxModelRow[] =>
      this.server.rows(this.outbox, transaction).filter((row) => row.slot === slot);
    const isOld = (): boolean => rows().every(({ atMs }) => atMs <= world.nowMs - retentionMs);
    const isMoved = (): boolean => {
      const passes = this.server.rows(this.intents, transaction);
      const newest = newestOf(passes);
      const known =
        this.bug === 'empty-unanswered' ? newest : passes.find(({ n }) => n === newest.confirmedN);
      const { xmax, xip } = Snapshot.parse(cursorOf(known as IntentRow));
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

function newestOf(rows: readonly IntentRow[]): IntentRow {
  return rows.reduce((a, b) => (a.n > b.n ? a : b));
}

/** What is visible in it has been taken by a pass or an earlier one. */
function cursorOf({ base, target, uptoId, endId }: IntentRow): string {
  return uptoId < endId ? base : target;
}
