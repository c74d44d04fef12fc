import { ConfigurationError, type SqlSession, type TransactionRunner } from '@waybill/kernel';
import type { Sealer } from '@waybill/log';
import { databaseIdentity } from '@waybill/schema';
import { Barrier, type BarrierCall, type BarrierOptions, type BarrierOutcome } from './barrier.js';
import { transactionIdentity } from '../statements.generated.js';

/** What a {@link BarrierParticipant} works with. */
export interface BarrierParticipantDependencies {
  /** Turns an open transaction of the participant's driver into a session; joinTransaction of @waybill/outbox does. */
  readonly join: (tx: unknown) => SqlSession;
  /** Encrypts results. Default: one without a cipher. */
  readonly sealer?: Sealer;
}

const CHECK_TIMEOUT_MS = 10_000;

/**
 * The barrier as a participant of a distributed transaction uses it: with the open transaction of its own driver, pg or
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
   * Does an operation once in the caller's open transaction, before anything else is written there; see
   * {@link Barrier.call}.
   * @throws TransactionRequiredError for anything but an open transaction
   */
  async call<T>(tx: unknown, name: BarrierCall, work: () => Promise<T>): Promise<BarrierOutcome<T>> {
    return this.#barrier.call(this.#join(tx), name, work);
  }

  /**
   * Checks that the barrier and the business rows share a transaction, in one transaction of the runner. A barrier that is
   * committed apart from them guards nothing. To be called when the service starts.
   *
   * @param business a session for business rows in the transaction that the runner hands out; default: what `join` makes
   *   of the runner's handle
   * @throws ConfigurationError when they do not share it
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
          return [`the barrier is in database ${own.database}, the business rows are in ${theirs.database}`];
        return own.transaction === theirs.transaction
          ? []
          : [
              `they are in one database, but in two transactions (${own.transaction} and ${theirs.transaction}): pass on ` +
                'the handle of the open transaction',
            ];
      },
      timeoutMs: CHECK_TIMEOUT_MS,
    });
    if (problems.length > 0)
      throw new ConfigurationError('The barrier and the business rows do not share a transaction', problems);
  }
}

/** Where a session is: cluster, database and schema; connection and transaction. */
async function connectionOf(session: SqlSession): Promise<{ database: string; transaction: string }> {
  const database = await databaseIdentity(session);
  const [row] = await session.run(transactionIdentity);
  return { database, transaction: row?.identity ?? '' };
}
