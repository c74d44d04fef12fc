import { type ModelServer, SqlError } from '../../model/model-server.js';
import { Table, type Version } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';

/** A row of parked_message. */
export interface ParkedModelRow {
  readonly offset: number;
  readonly key: string | null;
  readonly headers: string;
  readonly payload: Buffer | null;
  readonly timestampMs: number;
  readonly attempts: number;
  /** Infinity while an operator has to decide. */
  readonly dueAtMs: number;
  readonly firstFailedAtMs: number | null;
  readonly inFlight: boolean;
  readonly crashes: number;
  readonly fromDeadLetter: boolean;
}

/** A model of parked messages: ports of libs/consumer/sql/*.sql. */
export class ParkedModel {
  readonly rows = new Table<ParkedModelRow>();

  constructor(private readonly server: ModelServer) {
    server.define({
      'park-messages': this.#park.bind(this),
      'list-parked': this.#list.bind(this),
      'begin-parked': this.#begin.bind(this),
      'delay-parked': this.#delay.bind(this),
      'remove-parked': this.#remove.bind(this),
      'rest-parked': this.#rest.bind(this),
      'list-redriven': this.#listRedriven.bind(this),
    });
  }

  #park(
    transaction: Transaction,
    _group: number,
    _partition: number,
    offsets: readonly number[],
    _buckets: unknown,
    _ids: unknown,
    keys: readonly (string | null)[],
    headers: readonly string[],
    payloads: readonly (Buffer | null)[],
    times: readonly number[],
    attempts: readonly number[],
    delays: readonly (number | null)[],
    failing: readonly (number | null)[],
  ): never[] {
    const { nowMs } = this.server.world;
    this.server.xidOf(transaction);
    for (const [at, offset] of offsets.entries()) {
      if (this.server.rows(this.rows, transaction).some((row) => row.offset === offset))
        throw new SqlError('23505', `message ${offset} is parked already`);
      const delay = delays[at] ?? null;
      const failingForMs = failing[at] ?? null;
      this.rows.insert(transaction, {
        offset,
        key: keys[at] ?? null,
        headers: headers[at] as string,
        payload: payloads[at] ?? null,
        timestampMs: times[at] as number,
        attempts: attempts[at] as number,
        // coalesce: without a delay, only its turn is waited for.
        dueAtMs: delay === null ? nowMs : delay < 0 ? Infinity : nowMs + delay,
        firstFailedAtMs: failingForMs === null ? null : nowMs - failingForMs,
        inFlight: false,
        crashes: 0,
        fromDeadLetter: delay !== null && delay < 0,
      });
    }
    return [];
  }

  #list(transaction: Transaction, _group: number, [partitionId]: readonly number[]): unknown[] {
    return this.server
      .rows(this.rows, transaction)
      .toSorted((a, b) => a.offset - b.offset)
      .map((row) => ({ ...row, partitionId, ...this.#timesOf(row) }));
  }

  #listRedriven(transaction: Transaction, group: number, partitionIds: readonly number[]): unknown[] {
    const listed = this.#list(transaction, group, partitionIds) as { readonly fromDeadLetter: boolean }[];
    return listed.filter(({ fromDeadLetter }) => fromDeadLetter);
  }

  /** An operator has it run again. */
  async redrive(transaction: Transaction, offset: number): Promise<void> {
    const version = await this.#locked(transaction, offset);
    if (version === undefined) return;
    const dueAtMs = this.server.world.nowMs;
    const again = { attempts: 0, crashes: 0, inFlight: false, firstFailedAtMs: null, fromDeadLetter: true };
    this.rows.replace(transaction, version, { ...again, dueAtMs });
  }

  /** An operator has decided that it is not handled. */
  async discard(transaction: Transaction, offset: number): Promise<void> {
    const version = await this.#locked(transaction, offset);
    if (version !== undefined) this.rows.remove(transaction, version);
    transaction.fact('progress', offset);
  }

  async #begin(
    transaction: Transaction,
    _group: number,
    _partition: number,
    offsets: readonly number[],
    alone: boolean,
  ): Promise<unknown[]> {
    const begun: unknown[] = [];
    for (const offset of offsets) {
      const version = await this.#locked(transaction, offset);
      if (version === undefined) continue;
      const crashes = version.row.crashes + Number(alone);
      const row = this.rows.replace(transaction, version, { inFlight: true, crashes });
      begun.push({ ...row, bucketSeq: 1, ...this.#timesOf(row) });
    }
    return begun;
  }

  async #delay(
    transaction: Transaction,
    _group: number,
    _partition: number,
    offset: number,
    attempts: number,
    delayMs: number,
    failingForMs: number,
  ): Promise<never[]> {
    const version = await this.#locked(transaction, offset);
    if (version === undefined) return [];
    const { nowMs } = this.server.world;
    this.rows.replace(transaction, version, {
      attempts,
      inFlight: false,
      crashes: 0,
      dueAtMs: delayMs < 0 ? Infinity : nowMs + delayMs,
      firstFailedAtMs: nowMs - failingForMs,
      fromDeadLetter: version.row.fromDeadLetter || delayMs < 0,
    });
    return [];
  }

  async #remove(
    transaction: Transaction,
    _group: number,
    _partition: number,
    offset: number,
  ): Promise<never[]> {
    const version = await this.#locked(transaction, offset);
    if (version === undefined) return [];
    this.rows.remove(transaction, version);
    transaction.fact('progress', offset);
    return [];
  }

  async #rest(transaction: Transaction): Promise<never[]> {
    for (const { offset, inFlight } of this.server.rows(this.rows, transaction)) {
      const version = inFlight ? await this.#locked(transaction, offset) : undefined;
      if (version !== undefined) this.rows.replace(transaction, version, { inFlight: false });
    }
    return [];
  }

  /** The newest version of a row, under its lock. */
  async #locked(transaction: Transaction, offset: number): Promise<Version<ParkedModelRow> | undefined> {
    await this.server.locks.take(`parked ${offset}`, transaction, 'exclusive');
    this.server.xidOf(transaction);
    return this.rows.seen(this.server.snapshot(), transaction).find(({ row }) => row.offset === offset);
  }

  #timesOf({ dueAtMs, firstFailedAtMs }: ParkedModelRow): object {
    const { nowMs } = this.server.world;
    return {
      dueInMs: dueAtMs === Infinity ? null : Math.max(0, Math.ceil(dueAtMs - nowMs)),
      failingForMs: firstFailedAtMs === null ? null : nowMs - firstFailedAtMs,
    };
  }
}
