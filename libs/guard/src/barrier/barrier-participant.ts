import { ConfigurationError, type SqlSession, type TransactionRunner } from '@waybill/kernel';
import type { Sealer } from '@waybill/log';
import { databaseIdentity } from '@waybill/schema';
import { Barrier, type BarrierCall, type BarrierOptions, type BarrierOutcome } from './barrier.js';
import { transactionIdentity } from '../statements.generated.js';

/** Dependencies of a {@link BarrierParticipant}. */
export interface BarrierParticipantDependencies {
  /** Turns an open transaction of the participant's driver into a session, e.g. joinTransaction of @waybill/outbox. */
  readonly join: (tx: unknown) => SqlSession;
  /** Encrypts results. Default: one without a cipher. */
  readonly sealer?: Sealer;
}

const CHECK_TIMEOUT_MS = 10_000;

/**
 * The barrier for a participant of a distributed transaction: with the open transaction of its own driver, pg or
 * Prisma, in its own database, which needs Waybill's migrations.
 */
export class BarrierParticipant {
  readonly #barrier: Barrier;
  readonly #join: BarrierParticipantDependencies['join'];

  /** @throws ConfigurationError */
  constructor({ join, sealer }: BarrierParticipantDependencies, options: BarrierOptions = {}) {
    this.#join = join;
    this.#barrier = new Barrier(options, sealer);
  }

  /**
   * Does an operation once in the caller's open transaction, before any other write in it; see
   * {@link Barrier.call}.
   * @throws TransactionRequiredError for anything but an open transaction
   */
  async call<T>(tx: unknown, name: BarrierCall, work: () => Promise<T>): Promise<BarrierOutcome<T>> {
    return this.#barrier.call(this.#join(tx), name, work);
  }

  /**
   * Checks in one transaction of the runner that the barrier and the business rows share it. A barrier that is
   * committed separately guards nothing. To be called when the service starts.
   *
   * @param business a session for business rows in the runner's transaction; default: the result of `join` for
   *   the runner's handle
   * @throws ConfigurationError if they do not share it
   */
  async assertSharesConnection<Handle>(
    runner: TransactionRunner<Handle>,
    business: (handle: Handle) => SqlSession = this.#join,
  ): Promise<void> {
    const problems = await runner.run({
      work: async ({ session, handle }) => {
        const own = await connectionOf(session);
        const theirs = await connectionOf(business(handle));
        if (own.database !== theirs.database)
          return [
            `the barrier is in database ${own.database}, but the business rows are in ${theirs.database}`,
          ];
        return own.transaction === theirs.transaction
          ? []
          : [
              `they are in one database, but in two transactions (${own.transaction} and ${theirs.transaction}): pass ` +
                'the handle of the open transaction',
            ];
      },
      timeoutMs: CHECK_TIMEOUT_MS,
    });
    if (problems.length > 0)
      throw new ConfigurationError('The barrier and the business rows do not share a transaction', problems);
  }
}

/** The location of a session: cluster, database and schema; connection and transaction. */
async function connectionOf(session: SqlSession): Promise<{ database: string; transaction: string }> {
  const database = await databaseIdentity(session);
  const [row] = await session.run(transactionIdentity);
  return { database, transaction: row?.identity ?? '' };
}
