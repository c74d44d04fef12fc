import { BarrierRefusedError, type SqlSession } from '@waybill/kernel';
import { barrierPass, barrierTombstone } from './statements.generated.js';

/** Names an operation that happens once, or not at all: a half message's local transaction, a step of a saga. */
export interface BarrierName {
  /** Of the whole: the half message's id. */
  readonly gid: string;
  /** Of a part of it. */
  readonly branch: string;
  readonly op: string;
}

/**
 * The barrier of dtm (dtm-labs, `client/dtmcli/barrier.go`): an operation's transaction writes a row under the
 * operation's name first, and whoever gives the operation up writes a tombstone under the same name. Only one of the two
 * can be there, whenever they come. The table lies in the database of the business rows, in Waybill's schema.
 */
export class Barrier {
  /**
   * Passes the barrier. It must be the first write of the transaction of `session`.
   * @throws BarrierRefusedError when there is a tombstone, or the operation has happened already
   */
  async pass(session: SqlSession, { gid, branch, op }: BarrierName): Promise<void> {
    const [row] = await session.run(barrierPass, gid, branch, op);
    if (row?.passed !== true) throw new BarrierRefusedError(`${gid}/${branch}/${op}`);
  }

  /**
   * Sets a tombstone unless the operation has passed, in a transaction of its own. Its answer is final, and on disk.
   * @param session outside any transaction
   * @param reason what the tombstone says; other than `op`
   * @param waitMs how long to wait for a transaction of the operation that is still open, in milliseconds
   * @returns whether the operation has passed the barrier, and committed
   * @throws TransactionConflictError when it is still open
   */
  async tombstone(
    session: SqlSession,
    { gid, branch, op }: BarrierName,
    reason: string,
    waitMs: number,
  ): Promise<{ readonly passed: boolean }> {
    const [row] = await session.run(barrierTombstone, gid, branch, op, reason, waitMs);
    return { passed: row?.reason === op };
  }
}
