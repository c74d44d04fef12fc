import { type BoundStatement, bindStatement, type PgDatabase, ProgressWentBackError } from '@waybill/kernel';
import type { Grant, Membership } from '@waybill/log';
import { readOwnerEpochs, reclaimProgress, retakeProgress, takeProgress } from '../statements.generated.js';

/** A partition that this process has taken in the service's database. */
export interface Ownership {
  readonly partitionId: number;
  /** The service's own counter: every write for the partition is fenced by it. */
  readonly ownerEpoch: number;
  /**
   * When the server on which it was taken was started. Another one may lack the last of what was committed in this epoch, so
   * the fence lets nothing pass there before the progress is read again.
   */
  readonly incarnation: number;
}

/** Dependencies of {@link ProgressOwners}. */
export interface ProgressOwnersDependencies {
  /** The service's database. */
  readonly database: PgDatabase;
  readonly membership: Pick<Membership, 'memberId' | 'holds' | 'reportTaken'>;
  /** The id of the group in the service's database. Known after the consumer's start. */
  readonly groupId: () => number;
}

/**
 * Takes partitions in the service's database. What the log grants is advice: only the row there decides whose
 * transactions take effect. Two members that both believe they own a partition take turns, and nothing happens twice.
 */
export class ProgressOwners {
  constructor(private readonly dependencies: ProgressOwnersDependencies) {}

  /**
   * Takes partitions by their grants, under new owner epochs. From then on transactions of an earlier owner fail; what it has
   * committed is to be read in a later transaction. Waits a while for deliveries that are being committed.
   * @returns by partition id: an error where this database is not the one in which the last owner took it; those are absent
   *   that another member has
   */
  async take(grants: readonly Grant[]): Promise<ReadonlyMap<number, Ownership | ProgressWentBackError>> {
    const refused = await this.#wentBack(grants);
    const sound = grants.filter(({ partitionId }) => !refused.has(partitionId));
    return new Map<number, Ownership | ProgressWentBackError>([
      ...refused,
      ...(sound.length === 0 ? [] : await this.#takeSound(sound)),
    ]);
  }

  /**
   * Partitions of which the log knows a higher epoch than this database. Nothing is raised for them: after some attempts
   * the epoch would be high enough, and the difference gone.
   */
  async #wentBack(grants: readonly Grant[]): Promise<ReadonlyMap<number, ProgressWentBackError>> {
    const { database, membership, groupId } = this.dependencies;
    // The log is asked first: what was told to it before is in this database by now.
    const told = await membership.reportTaken(grants.map((grant) => ({ ...grant, ownerEpoch: 0 })));
    const ids = grants.map(({ partitionId }) => partitionId);
    const rows = await database.session.run(readOwnerEpochs, groupId(), ids);
    const own = new Map(rows.map(({ partitionId, ownerEpoch }) => [partitionId, ownerEpoch]));
    const refused = new Map<number, ProgressWentBackError>();
    for (const [partitionId, highest] of told) {
      const epoch = own.get(partitionId) ?? 0;
      if (epoch < highest) refused.set(partitionId, wentBack(partitionId, epoch, highest));
    }
    return refused;
  }

  async #takeSound(grants: readonly Grant[]): Promise<ReadonlyMap<number, Ownership>> {
    const { database, membership, groupId } = this.dependencies;
    const taken = new Map<number, Ownership>();
    const [rows] = await database.runTogether([this.#take(grants)]);
    for (const row of rows as Ownership[]) taken.set(row.partitionId, row);
    const known = grants.filter(({ partitionId }) => !taken.has(partitionId));
    if (known.length > 0) {
      // The database knows the same or a newer grant. Its epochs are read before the log is asked who has the partition.
      const ids = known.map(({ partitionId }) => partitionId);
      const epochs = await database.session.run(readOwnerEpochs, groupId(), ids);
      const held = await membership.holds(known);
      for (const { partitionId, ownerEpoch } of epochs) {
        const grant = held.get(partitionId);
        if (grant === undefined) continue;
        const [again] = await database.runTogether([this.#retake(grant, ownerEpoch)]);
        const [row] = again as { ownerEpoch: number | null; incarnation: number }[];
        if (row === undefined || row.ownerEpoch === null) continue;
        const { ownerEpoch: epoch, incarnation } = row;
        taken.set(partitionId, { partitionId, ownerEpoch: epoch, incarnation });
      }
    }
    await this.#report(grants, taken);
    return taken;
  }

  /**
   * Takes partitions again that this process has taken: a transaction begun under an old epoch has been committed when
   * this returns, or never will be. Waits for no locks.
   * @returns the new ownerships; undefined for partitions in which a delivery is being committed; those are absent that
   *   another member or an operator has taken since
   */
  async reclaim(ownerships: readonly Ownership[]): Promise<ReadonlyMap<number, Ownership | undefined>> {
    const rows = await this.dependencies.database.session.run(
      reclaimProgress,
      this.dependencies.groupId(),
      ownerships.map(({ partitionId }) => partitionId),
      ownerships.map(({ ownerEpoch }) => ownerEpoch),
    );
    return new Map(
      rows.map(({ partitionId, ownerEpoch, incarnation }) => [
        partitionId,
        ownerEpoch === null ? undefined : { partitionId, ownerEpoch, incarnation },
      ]),
    );
  }

  #take(grants: readonly Grant[]): BoundStatement {
    const { membership, groupId } = this.dependencies;
    return bindStatement(
      takeProgress,
      groupId(),
      grants.map(({ partitionId }) => partitionId),
      grants.map(({ grantEpoch }) => grantEpoch),
      membership.memberId,
      grants[0]?.logEpoch ?? 0,
    );
  }

  #retake({ partitionId, grantEpoch, logEpoch }: Grant, inEpoch: number): BoundStatement {
    const { membership, groupId } = this.dependencies;
    const { memberId } = membership;
    return bindStatement(retakeProgress, groupId(), partitionId, inEpoch, grantEpoch, memberId, logEpoch);
  }

  /** Tells the log which epochs were taken. @throws ProgressWentBackError when a higher one was told meanwhile */
  async #report(grants: readonly Grant[], taken: ReadonlyMap<number, Ownership>): Promise<void> {
    const reports = grants.flatMap((grant) => {
      const ownership = taken.get(grant.partitionId);
      return ownership === undefined ? [] : [{ ...grant, ownerEpoch: ownership.ownerEpoch }];
    });
    const before = await this.dependencies.membership.reportTaken(reports);
    for (const { partitionId, ownerEpoch } of reports) {
      const highest = before.get(partitionId) ?? 0;
      if (ownerEpoch <= highest) throw wentBack(partitionId, ownerEpoch, highest);
    }
  }
}

function wentBack(partitionId: number, epoch: number, highest: number): ProgressWentBackError {
  return new ProgressWentBackError(
    `Partition ${partitionId} is in owner epoch ${epoch} of this database, and was taken in ${highest} before`,
  );
}
