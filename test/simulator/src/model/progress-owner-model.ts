import { type ModelServer, SqlError } from './model-server.js';
import { Table, type Version } from './table.js';
import type { Transaction } from './transaction.js';

/** A row of progress_owner. */
export interface ProgressOwnerRow {
  readonly partitionId: number;
  readonly ownerEpoch: number;
  readonly grantEpoch: number;
  readonly memberId: string;
}

/** A partition is taken, by another member or by the same: a fact of the transaction. */
export interface Taking {
  readonly partitionId: number;
  readonly from: string | null;
  readonly to: string;
}

/**
 * A model of the owners of partitions in a service's database: ports of libs/consumer/sql/progress (take-progress, retake-progress,
 * read-owner-epochs, reclaim-progress, fence) and of the functions that they call in
 * libs/schema/migrations/service/0006-progress.sql.
 */
export class ProgressOwnerModel {
  readonly rows = new Table<ProgressOwnerRow>();

  constructor(
    private readonly server: ModelServer,
    private readonly bug: string | undefined,
  ) {
    server.define({
      'take-progress': this.#take.bind(this),
      'retake-progress': this.#retake.bind(this),
      'read-owner-epochs': (transaction: Transaction, _group: number, ids: readonly number[]) =>
        server.rows(this.rows, transaction).filter(({ partitionId }) => ids.includes(partitionId)),
      'reclaim-progress': this.#reclaim.bind(this),
      fence: (transaction: Transaction, _group: number, partitionId: number, epoch: number) =>
        this.fence(transaction, partitionId, epoch),
    });
  }

  /** What is committed of a partition's owner. */
  ownerOf(partitionId: number): ProgressOwnerRow | undefined {
    return this.rows.committed.find((row) => row.partitionId === partitionId);
  }

  #row(transaction: Transaction, partitionId: number): Version<ProgressOwnerRow> | undefined {
    return this.rows
      .seen(this.server.snapshot(), transaction)
      .find(({ row }) => row.partitionId === partitionId);
  }

  /** Port of progress_take: a conflicting row is tested again behind its lock. */
  async #take(
    transaction: Transaction,
    _group: number,
    partitionIds: readonly number[],
    grants: readonly number[],
    memberId: string,
  ): Promise<{ partitionId: number; ownerEpoch: number }[]> {
    const taken: { partitionId: number; ownerEpoch: number }[] = [];
    const inOrder = [...partitionIds.entries()].toSorted(([, a], [, b]) => a - b);
    for (const [at, partitionId] of inOrder) {
      await this.#lock(transaction, partitionId);
      const grantEpoch = grants[at] as number;
      const known = this.#row(transaction, partitionId);
      if (known !== undefined && known.row.grantEpoch >= grantEpoch) continue;
      taken.push(this.#raise(transaction, partitionId, known, { grantEpoch, memberId }));
    }
    return taken;
  }

  async #retake(
    transaction: Transaction,
    _group: number,
    partitionId: number,
    inEpoch: number,
    grantEpoch: number,
    memberId: string,
  ): Promise<{ ownerEpoch: number | null }[]> {
    await this.#lock(transaction, partitionId);
    const known = this.#row(transaction, partitionId);
    if (known?.row.ownerEpoch !== inEpoch) return [{ ownerEpoch: null }];
    return [this.#raise(transaction, partitionId, known, { grantEpoch, memberId })];
  }

  /** Port of reclaim-progress.sql: `for update skip locked`. */
  #reclaim(
    transaction: Transaction,
    _group: number,
    partitionIds: readonly number[],
    epochs: readonly number[],
  ): { partitionId: number; ownerEpoch: number | null }[] {
    return partitionIds.flatMap((partitionId, at): { partitionId: number; ownerEpoch: number | null }[] => {
      const known = this.#row(transaction, partitionId);
      if (known?.row.ownerEpoch !== epochs[at]) return [];
      const isFree = this.server.locks.tryTake(nameOf(partitionId), transaction, 'exclusive');
      if (!isFree && this.bug !== 'reclaim-ignores-locks') return [{ partitionId, ownerEpoch: null }];
      return [this.#raise(transaction, partitionId, known, {})];
    });
  }

  /** The fence, as the last statement of a delivery's transaction. */
  async fence(transaction: Transaction, partitionId: number, epoch: number): Promise<never[]> {
    if (this.bug === 'no-fence') return [];
    const isOwner = (): boolean => this.#row(transaction, partitionId)?.row.ownerEpoch === epoch;
    const refused = new SqlError('WB003', `partition ${partitionId} has another owner than that of ${epoch}`);
    if (!isOwner()) throw refused;
    if (this.bug !== 'fence-without-lock')
      await this.server.locks.take(nameOf(partitionId), transaction, 'share');
    // After a wait, the row's newest version is tested again.
    if (!isOwner()) throw refused;
    return [];
  }

  #lock(transaction: Transaction, partitionId: number): Promise<void> {
    return this.server.locks.take(nameOf(partitionId), transaction, 'exclusive');
  }

  #raise(
    transaction: Transaction,
    partitionId: number,
    known: Version<ProgressOwnerRow> | undefined,
    change: Partial<ProgressOwnerRow>,
  ): { partitionId: number; ownerEpoch: number } {
    this.server.xidOf(transaction);
    const ownerEpoch = (known?.row.ownerEpoch ?? 0) + 1;
    const row = { partitionId, grantEpoch: 0, memberId: '', ...known?.row, ...change, ownerEpoch };
    if (known === undefined) this.rows.insert(transaction, row);
    else this.rows.replace(transaction, known, row);
    const { memberId } = row;
    const from = known?.row.memberId ?? null;
    transaction.fact('taken', { partitionId, from, to: memberId } satisfies Taking);
    this.server.world.note(() => `partition ${partitionId}: taken by ${memberId} in epoch ${ownerEpoch}`);
    return { partitionId, ownerEpoch };
  }
}

function nameOf(partitionId: number): string {
  return `progress ${partitionId}`;
}
