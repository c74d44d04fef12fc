import { type BoundStatement, FencedError, type PgDatabase } from '@waybill/kernel';
import { isServerTrouble, isTransactionConflict } from '@waybill/kernel/internal';
import type { Permit } from './permits.js';
import type { RepeatedWork } from './repeated-work.js';

/** What {@link VerdictWriter} works with. */
export interface VerdictWriterDependencies {
  /** The database of positions and marks. */
  readonly database: PgDatabase;
  /** Whether statements stay prepared on their connections. */
  readonly prepared: boolean;
  /** Aborts when the lane may write nothing more. */
  readonly stopped: AbortSignal;
  readonly repeated: RepeatedWork;
}

/** Writes a lane's verdicts, positions and charges to the service's database, under its fence. */
export class VerdictWriter {
  constructor(private readonly dependencies: VerdictWriterDependencies) {}

  /**
   * Runs statements in a separate transaction; they end with the fence. Resolves to the rows of each.
   *
   * With a permit, which it releases while it waits, it retries after a conflict. It does not retry after any other
   * failure: if the outcome is unknown, a late copy would undo what was written since, so the lane has to end.
   * @throws FencedError if the lane was stopped, or another member owns the partition
   */
  async write(statements: readonly BoundStatement[], permit?: Permit): Promise<unknown[][]> {
    const once = async (): Promise<unknown[][]> => {
      this.assertNotStopped();
      return this.dependencies.database.runTogether(this.prepared(statements));
    };
    return permit === undefined ? once() : this.dependencies.repeated.run(permit, isKnownOutcome, once);
  }

  /** @throws FencedError if the lane was stopped */
  assertNotStopped(): void {
    if (this.dependencies.stopped.aborted) throw new FencedError('The lane was stopped');
  }

  /**
   * The statements as they are sent. Parsing and planning them each time would cost a small handler a sixth of its
   * rate.
   */
  prepared(statements: readonly BoundStatement[]): BoundStatement[] {
    return statements.map((statement) => ({ ...statement, prepared: this.dependencies.prepared }));
  }
}

/** Whether the server has reported that nothing was done, for transient reasons. */
function isKnownOutcome(error: unknown): boolean {
  return isTransactionConflict(error) || isServerTrouble(error);
}
