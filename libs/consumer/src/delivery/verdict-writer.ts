import { type BoundStatement, FencedError, type PgDatabase } from '@waybill/kernel';
import { isServerTrouble, isTransactionConflict } from '@waybill/kernel/internal';
import type { Permit } from './permits.js';
import type { RepeatedWork } from './repeated-work.js';

/** What {@link VerdictWriter} works with. */
export interface VerdictWriterDependencies {
  /** Where the log, positions and marks are. */
  readonly bus: PgDatabase;
  /** Whether statements are kept prepared on their connections. */
  readonly prepared: boolean;
  /** Aborts when the lane may write nothing more. */
  readonly stopped: AbortSignal;
  readonly repeated: RepeatedWork;
}

/** Writes what a lane has to say of its messages (verdicts, positions, charges) in the log's database, under its fence. */
export class VerdictWriter {
  constructor(private readonly dependencies: VerdictWriterDependencies) {}

  /**
   * Writes statements in a transaction of their own; they end with the fence. Resolves to the rows of each.
   *
   * With a permit, which it does without while it waits, it tries again after a conflict. After no other failure: where the
   * outcome is unknown, a copy that is executed late would undo what was written since, so the lane has to end.
   * @throws FencedError when the lane was stopped, or the partition is another's
   */
  async write(statements: readonly BoundStatement[], permit?: Permit): Promise<unknown[][]> {
    const once = async (): Promise<unknown[][]> => {
      this.assertNotStopped();
      return this.dependencies.bus.runTogether(this.prepared(statements));
    };
    return permit === undefined ? once() : this.dependencies.repeated.run(permit, isKnownOutcome, once);
  }

  /** @throws FencedError when the lane was stopped */
  assertNotStopped(): void {
    if (this.dependencies.stopped.aborted) throw new FencedError('The lane was stopped');
  }

  /** The statements as they are sent: parsing and planning them each time costs a small handler a sixth of its rate. */
  prepared(statements: readonly BoundStatement[]): BoundStatement[] {
    return statements.map((statement) => ({ ...statement, prepared: this.dependencies.prepared }));
  }
}

/** Whether the server has said that nothing was done, for reasons that pass. */
function isKnownOutcome(error: unknown): boolean {
  return isTransactionConflict(error) || isServerTrouble(error);
}
