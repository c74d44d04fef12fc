import { type BoundStatement, FencedError, type PgDatabase } from '@waybill/kernel';
import { isServerTrouble, isTransactionConflict } from '@waybill/kernel/internal';
import type { Permit } from './permits.js';
import type { RepeatedWork } from './repeated-work.js';

/** What becomes of messages, as it is stored: in the effect's transaction, or in one of its own. */
export interface Verdict {
  /** They end with the fence. */
  readonly statements: readonly BoundStatement[];
  /** Called when they are committed. */
  readonly committed: () => void;
  /** Called when they are not, or when it is not known whether they are. */
  readonly failed: () => void;
}

/** A verdict of which the process notes nothing. */
export function plainVerdict(statements: readonly BoundStatement[], committed = (): void => {}): Verdict {
  return { statements, committed, failed: () => {} };
}

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

  /**
   * Stores a verdict in a transaction of its own; retries as {@link write} does.
   * @param before more statements, which are committed with it
   */
  async store(verdict: Verdict, permit: Permit, before: readonly BoundStatement[] = []): Promise<void> {
    try {
      await this.write([...before, ...verdict.statements], permit);
    } catch (error) {
      verdict.failed();
      throw error;
    }
    verdict.committed();
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
