import { statement } from '@waybill/kernel/internal';
import { type ModelServer, SqlError } from '../../model/model-server.js';
import { Table, type Version } from '../../model/table.js';
import type { Transaction } from '../../model/transaction.js';
import { ProgressOwnerModel } from '../../model/progress-owner-model.js';
import { ParkedModel } from './parked-model.js';

/** The one partition of the machine, and its group. */
export const PARTITION_ID = 1;
export const GROUP_ID = 1;
export const LEASE_MS = 1_000;

/** To whom the log grants the partition. */
export interface GrantRow {
  readonly ownerId: string | null;
  readonly epoch: number;
  /** The highest owner epoch that was reported. */
  readonly takenEpoch: number;
  readonly targetId: string | null;
}

interface DeadLetterRow {
  readonly offset: number;
  readonly reason: string;
  readonly state: 'open' | 'redriving' | 'redriven' | 'discarded';
}

interface PositionRow {
  readonly id: number;
  readonly epoch: number;
  readonly position: number;
  readonly inFlightEnd: number;
  readonly logEpoch: number;
  readonly checksum: number | null;
}

/** Statements of the model's membership, and the effect of the handlers. */
export const heartbeat = statement<[memberId: string], GrantRow & { isFree: boolean }>('lane-heartbeat', '');
export const claim = statement<[memberId: string], never>('lane-claim', '');
export const release = statement<[memberId: string], never>('lane-release', '');
export const holds = statement<[memberId: string, epoch: number], never>('lane-holds', '');
export const reportTaken = statement<
  [memberId: string, epoch: number, ownerEpoch: number],
  { takenBefore: number }
>('lane-report-taken', '');
export const effect = statement<[offset: number, memberId: string, epoch: number], never>('lane-effect', '');

/** A statement of a handler that the server refuses. */
export const refused = statement<[], never>('lane-refused', '');

/** The verdict `dropped` of a mark. */
const DROPPED = 5;

/**
 * A model of what a lane stores: ports of libs/consumer/sql/progress (advance, fence, insert-marks, read-positions, read-marks,
 * charge-crash, clear-charges, read-charges) with the functions that they call in
 * libs/schema/migrations/service/0006-progress.sql, of libs/consumer/sql (see {@link ParkedModel}), and of insert-dead-letter.
 * The owners in the service's database are a {@link ProgressOwnerModel}. Membership, which the log has, is reduced to one
 * partition: a lease, a claim of what no member is granted, a release.
 */
export class LaneModel {
  readonly grant = new Table<GrantRow>();
  readonly owners: ProgressOwnerModel;
  readonly members = new Table<{ readonly memberId: string; readonly leaseUntilMs: number }>();
  readonly positions = new Table<PositionRow>();
  readonly marks = new Table<{ readonly offset: number; readonly verdict: number }>();
  readonly charges = new Table<{ readonly offset: number }>();
  readonly deadLetters = new Table<DeadLetterRow>();
  readonly ledger = new Table<{ readonly offset: number }>();
  readonly parked: ParkedModel;
  #nextId = 1;

  constructor(
    private readonly server: ModelServer,
    private readonly bug: string | undefined,
  ) {
    this.parked = new ParkedModel(server);
    this.owners = new ProgressOwnerModel(server, bug);
    const setup = server.begin('setup');
    server.xidOf(setup);
    this.grant.insert(setup, { ownerId: null, epoch: 1, takenEpoch: 0, targetId: null });
    server.commit(setup);
    server.define({
      'lane-heartbeat': this.#heartbeat.bind(this),
      'lane-claim': this.#claim.bind(this),
      'lane-release': this.#release.bind(this),
      'lane-holds': (transaction: Transaction, memberId: string, epoch: number) =>
        this.#isGranted(transaction, memberId, epoch) ? [{}] : [],
      'lane-report-taken': this.#reportTaken.bind(this),
      'lane-effect': this.#effect.bind(this),
      'lane-refused': () => {
        throw new SqlError('22012', 'division by zero');
      },
      advance: this.#advance.bind(this),
      'insert-marks': this.#mark.bind(this),
      'charge-crash': this.#charge.bind(this),
      'clear-charges': this.#clearCharges.bind(this),
      'read-positions': this.#readPositions.bind(this),
      'read-marks': this.#readMarks.bind(this),
      'read-charges': this.#readCharges.bind(this),
      'insert-dead-letter': this.#insertDeadLetter.bind(this),
      'resolve-redriven': this.#resolveRedriven.bind(this),
    });
  }

  /** What is committed of the grant. */
  get grantNow(): GrantRow {
    return this.grant.committed[0] as GrantRow;
  }

  /** The newest position, as a new owner reads it; undefined if none is stored. */
  get newestPosition(): PositionRow | undefined {
    return newest(this.positions.committed);
  }

  /** Promises the partition to another member: the owner drains and releases it. */
  promise(targetId: string): void {
    const transaction = this.server.begin('rebalance');
    const row = this.grant.seen(this.server.snapshot(), transaction)[0];
    if (row !== undefined && this.server.locks.tryTake('grant', transaction, 'exclusive')) {
      this.server.xidOf(transaction);
      this.grant.replace(transaction, row, { targetId });
    }
    this.server.commit(transaction);
  }

  #grantSeen(transaction: Transaction): GrantRow {
    return this.server.rows(this.grant, transaction)[0] as GrantRow;
  }

  #isGranted(transaction: Transaction, memberId: string, inEpoch: number): boolean {
    const { ownerId, epoch } = this.#grantSeen(transaction);
    return ownerId === memberId && epoch === inEpoch;
  }

  #isAlive(transaction: Transaction, memberId: string | null): boolean {
    const { nowMs } = this.server.world;
    return this.server
      .rows(this.members, transaction)
      .some((member) => member.memberId === memberId && member.leaseUntilMs > nowMs);
  }

  #heartbeat(transaction: Transaction, memberId: string): (GrantRow & { isFree: boolean })[] {
    this.server.xidOf(transaction);
    const row = { memberId, leaseUntilMs: this.server.world.nowMs + LEASE_MS };
    const known = this.members
      .seen(this.server.snapshot(), transaction)
      .find((version) => version.row.memberId === memberId);
    if (known === undefined) this.members.insert(transaction, row);
    else this.members.replace(transaction, known, row);
    const grant = this.#grantSeen(transaction);
    return [{ ...grant, isFree: !this.#isAlive(transaction, grant.ownerId) }];
  }

  /** Takes a partition whose owner's lease is over. */
  async #claim(transaction: Transaction, memberId: string): Promise<never[]> {
    await this.server.locks.take('group', transaction, 'exclusive');
    if (this.#isAlive(transaction, this.#grantSeen(transaction).ownerId)) return [];
    await this.server.locks.take('grant', transaction, 'exclusive');
    this.#changeGrant(transaction, ({ epoch }) => ({ ownerId: memberId, epoch: epoch + 1, targetId: null }));
    return [];
  }

  async #release(transaction: Transaction, memberId: string): Promise<never[]> {
    await this.server.locks.take('group', transaction, 'exclusive');
    await this.server.locks.take('grant', transaction, 'exclusive');
    if (this.#grantSeen(transaction).ownerId !== memberId) return [];
    this.#changeGrant(transaction, ({ epoch, targetId }) => ({
      ownerId: targetId,
      epoch: epoch + 1,
      targetId: null,
    }));
    return [];
  }

  /** Port of group_report_taken. */
  async #reportTaken(
    transaction: Transaction,
    memberId: string,
    epoch: number,
    ownerEpoch: number,
  ): Promise<{ takenBefore: number }[]> {
    await this.server.locks.take('grant', transaction, 'exclusive');
    if (!this.#isGranted(transaction, memberId, epoch)) return [];
    const { takenEpoch } = this.#grantSeen(transaction);
    if (ownerEpoch > takenEpoch) this.#changeGrant(transaction, () => ({ takenEpoch: ownerEpoch }));
    return [{ takenBefore: takenEpoch }];
  }

  #changeGrant(transaction: Transaction, change: (row: GrantRow) => Partial<GrantRow>): void {
    const version = this.grant.seen(this.server.snapshot(), transaction)[0];
    if (version === undefined) return;
    this.server.xidOf(transaction);
    const row = this.grant.replace(transaction, version, change(version.row));
    this.server.world.note(() => `grant: ${row.ownerId ?? 'none'}, epoch ${row.epoch}`);
  }

  async #advance(
    transaction: Transaction,
    _group: number,
    partitionId: number,
    epoch: number,
    position: number,
    inFlightEnd: number,
    logEpoch: number,
    checksum: number | null,
  ): Promise<never[]> {
    this.server.xidOf(transaction);
    // Every batch has one message, and its offset for a checksum.
    if (checksum !== null && checksum !== position - 1)
      this.server.world.broken(
        'a position has the checksum of the batch below it',
        `${checksum} at ${position}`,
      );
    this.positions.insert(transaction, {
      id: this.#nextId,
      epoch,
      position,
      inFlightEnd,
      logEpoch,
      checksum,
    });
    this.#nextId += 1;
    transaction.fact('progress', position);
    transaction.fact('by', { epoch });
    return this.owners.fence(transaction, partitionId, epoch);
  }

  #mark(
    transaction: Transaction,
    _group: number,
    _partition: number,
    offsets: readonly number[],
    verdict: number,
  ): never[] {
    this.server.xidOf(transaction);
    for (const offset of offsets) {
      this.marks.insert(transaction, { offset, verdict });
      transaction.fact('progress', offset);
      if (verdict === DROPPED) transaction.fact('dropped', offset);
    }
    return [];
  }

  #charge(transaction: Transaction, _group: number, _partition: number, offset: number): unknown[] {
    this.server.xidOf(transaction);
    this.charges.insert(transaction, { offset });
    const charges = this.server.rows(this.charges, transaction).filter((row) => row.offset === offset).length;
    return [{ charges }];
  }

  #clearCharges(transaction: Transaction, _group: number, _partition: number, offset: number): never[] {
    this.server.xidOf(transaction);
    for (const version of this.charges.seen(this.server.snapshot(), transaction))
      if (version.row.offset === offset) this.charges.remove(transaction, version);
    return [];
  }

  #readPositions(transaction: Transaction): unknown[] {
    const rows = this.server.rows(this.positions, transaction);
    const { epoch } = newest(rows) ?? { epoch: 0 };
    const lowest = rows.filter((one) => one.epoch === epoch).toSorted((a, b) => a.position - b.position)[0];
    const row = this.bug === 'older-position' ? lowest : newest(rows);
    return row === undefined ? [] : [{ partitionId: PARTITION_ID, ...row }];
  }

  #readMarks(
    transaction: Transaction,
    _group: number,
    _ids: unknown,
    [from = 0]: readonly number[],
  ): unknown[] {
    const marks = this.server.rows(this.marks, transaction).filter(({ offset }) => offset >= from);
    return marks.map(({ offset }) => ({ partitionId: PARTITION_ID, offset }));
  }

  #readCharges(
    transaction: Transaction,
    _group: number,
    _ids: unknown,
    [from = 0]: readonly number[],
  ): unknown[] {
    const offsets = this.server.rows(this.charges, transaction).map(({ offset }) => offset);
    return [...new Set(offsets)]
      .filter((offset) => offset >= from)
      .map((offset) => ({
        partitionId: PARTITION_ID,
        offset,
        charges: offsets.filter((other) => other === offset).length,
      }));
  }

  async #insertDeadLetter(transaction: Transaction, ...params: unknown[]): Promise<never[]> {
    const offset = params[2] as number;
    const reason = REASONS.find((name) => params.includes(name)) ?? 'unknown';
    this.server.xidOf(transaction);
    const known = await this.#deadLetter(transaction, offset);
    if (known === undefined) this.deadLetters.insert(transaction, { offset, reason, state: 'open' });
    else if (known.row.state === 'redriving')
      this.deadLetters.replace(transaction, known, { reason, state: 'open' });
    transaction.fact('dead', { offset, reason });
    return [];
  }

  async #resolveRedriven(
    transaction: Transaction,
    _group: number,
    _partition: number,
    offset: number,
  ): Promise<never[]> {
    const known = await this.#deadLetter(transaction, offset);
    if (known?.row.state === 'redriving') this.deadLetters.replace(transaction, known, { state: 'redriven' });
    return [];
  }

  /** The newest version of a dead letter, under its lock. */
  async #deadLetter(transaction: Transaction, offset: number): Promise<Version<DeadLetterRow> | undefined> {
    await this.server.locks.take(`dead ${offset}`, transaction, 'exclusive');
    this.server.xidOf(transaction);
    return this.deadLetters
      .seen(this.server.snapshot(), transaction)
      .find(({ row }) => row.offset === offset);
  }

  #effect(transaction: Transaction, offset: number, memberId: string, epoch: number): never[] {
    this.server.xidOf(transaction);
    this.ledger.insert(transaction, { offset });
    transaction.fact('by', { memberId, epoch });
    return [];
  }
}

const REASONS = ['attempts-spent', 'by-handler', 'process-crashed', 'connection-lost'];

/** As read-positions.sql orders them. */
function newest(rows: readonly PositionRow[]): PositionRow | undefined {
  return rows.toSorted((a, b) => b.epoch - a.epoch || b.position - a.position || b.id - a.id)[0];
}
