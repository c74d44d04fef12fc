import {
  ConfigurationError,
  isWaybillError,
  type SqlSession,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import { isTransactionConflict } from '@waybill/kernel/internal';
import { Barrier, type BarrierName } from '@waybill/guard';
import { databaseIdentity } from '@waybill/schema';
import type { HalfMessageVerdict } from './half-message.js';
import { flushWal, markTransaction, transactionStatus } from './statements.generated.js';

const TIMEOUT = wholeNumber({ default: 30_000, min: 1, max: 86_400_000 });

/**
 * A database in which local transactions of half messages run. All processes of a producer group must use the same name
 * for the same database, because any of them may check half messages of the others.
 */
export interface LocalDatabase<Handle = unknown> {
  readonly name: string;
  /** Opens the local transactions. */
  readonly transactions: TransactionRunner<Handle>;
  /** Runs statements outside of transactions, on a separate pool: a shared pool could starve. */
  readonly session: SqlSession;
  /** Time limit of a local transaction, in milliseconds, up to a day. Default 30,000. */
  readonly timeoutMs?: number;
}

/** How the outcome of a half message's local transaction can be found out. Stored in the half message's row. */
export interface LocalMark {
  readonly name: string;
  /** See databaseIdentity; a tombstone in another database would prove nothing. */
  readonly identity: string;
  /** Whether the transaction passes the barrier, so that a tombstone decides. */
  readonly barrier: boolean;
  /** Its id, and the cluster and timeline on which it is valid: for pg_xact_status. */
  readonly transaction?:
    { readonly xid: string; readonly systemIdentifier: string; readonly timeline: string } | undefined;
}

/** A local database's result for a local transaction; `open`: it has not ended, ask again. */
export interface LocalOutcome {
  readonly verdict: HalfMessageVerdict | 'open';
  readonly by: 'tombstone' | 'xact-status';
  readonly why?: string;
}

/** How long a check waits for an open local transaction, in milliseconds. */
const TOMBSTONE_WAIT_MS = 1_000;
/** The error of pg_xact_status for an id that was not assigned yet. */
const XID_IN_FUTURE = '22023';

/** The barrier row of a half message's local transaction; a tombstone in its place means `rollback`. */
function barrierOf(halfId: string): BarrierName {
  return { gid: halfId, branch: '00', op: 'msg' };
}

/** Local databases by name: marks local transactions and finds out how they ended. */
export class LocalDatabases {
  readonly #byName = new Map<string, LocalDatabase>();
  readonly #identities = new Map<SqlSession, Promise<string>>();
  readonly #barrier = new Barrier();

  /** @throws ConfigurationError if two have the same name */
  constructor(databases: readonly LocalDatabase[] = []) {
    for (const database of databases) {
      if (this.#byName.has(database.name))
        throw new ConfigurationError('The local databases are not usable', [
          `two have the name ${database.name}`,
        ]);
      this.#byName.set(database.name, database);
    }
  }

  /** @throws ConfigurationError */
  get(name: string): LocalDatabase {
    const database = this.#byName.get(name);
    if (database === undefined) {
      const known = [...this.#byName.keys()].join(', ') || 'none';
      throw new ConfigurationError('A half message needs a local database', [
        `this process has no database named ${name}; known: ${known}`,
      ]);
    }
    return database;
  }

  /**
   * Describes the database for a half message's row.
   * @throws ConfigurationError if transactions and session are in different databases or share a pool
   */
  async describe(database: LocalDatabase): Promise<Pick<LocalMark, 'name' | 'identity'>> {
    const { name, transactions, session, timeoutMs } = database;
    const [identity, ofTransactions] = await Promise.all([
      this.#identityOf(session),
      this.#identityOf(transactions.session),
    ]);
    const problems: string[] = [];
    const limit = timeoutMs === undefined ? undefined : TIMEOUT.check(timeoutMs);
    if (limit !== undefined) problems.push(`${name}: timeoutMs ${limit}`);
    if (transactions.session === session) problems.push(`${name}: session must use a separate pool`);
    if (identity !== ofTransactions)
      problems.push(`${name}: transactions and session must be in the same database and schema`);
    if (problems.length > 0) throw new ConfigurationError('A local database is not usable', problems);
    return { name, identity };
  }

  /** Passes the barrier, as the first write of the local transaction. @throws BarrierRefusedError */
  pass(session: SqlSession, halfId: string): Promise<void> {
    return this.#barrier.pass(session, barrierOf(halfId));
  }

  /**
   * Assigns the current local transaction its id in such a way that it can be looked up: after a crash, ids that are
   * not on disk can be assigned to another transaction. So the assigned id is flushed, over another connection, before
   * it is used.
   */
  async markTransaction(database: LocalDatabase, session: SqlSession): Promise<LocalMark['transaction']> {
    const [mark] = await session.run(markTransaction);
    await database.session.run(flushWal);
    return mark;
  }

  /**
   * Finds out from a local database how a half message's local transaction has ended. With a barrier, the result
   * `rollback` also prevents it from succeeding later.
   * @throws WaybillError if the database cannot be reached
   */
  async ask(halfId: string, mark: LocalMark): Promise<LocalOutcome> {
    const { session } = this.get(mark.name);
    if (mark.transaction !== undefined) {
      const result = await this.#askStatus(session, mark.transaction);
      if (result.verdict !== 'unknown' || !mark.barrier) return result;
    }
    if (!mark.barrier) return { verdict: 'unknown', by: 'tombstone', why: 'there is no barrier' };
    // Checked each time: the address may now lead to another server.
    if ((await databaseIdentity(session)) !== mark.identity)
      return { verdict: 'unknown', by: 'tombstone', why: `${mark.name} is another database now` };
    try {
      const { passed } = await this.#barrier.tombstone(
        session,
        barrierOf(halfId),
        'rollback',
        TOMBSTONE_WAIT_MS,
      );
      return { verdict: passed ? 'commit' : 'rollback', by: 'tombstone' };
    } catch (error) {
      if (isTransactionConflict(error)) return { verdict: 'open', by: 'tombstone' };
      // It is so old that the barrier has forgotten it: an operator has to decide.
      if (isWaybillError(error) && error.code === 'BARRIER_NAME_INVALID')
        return { verdict: 'unknown', by: 'tombstone', why: error.message };
      throw error;
    }
  }

  async #askStatus(
    session: SqlSession,
    { xid, systemIdentifier, timeline }: NonNullable<LocalMark['transaction']>,
  ): Promise<LocalOutcome> {
    const unknown = (why: string): LocalOutcome => ({ verdict: 'unknown', by: 'xact-status', why });
    let row: { same: boolean; status: string | null } | undefined;
    try {
      [row] = await session.run(transactionStatus, xid, systemIdentifier, timeline);
    } catch (error) {
      if (isWaybillError(error) && (error as { sqlState?: string }).sqlState === XID_IN_FUTURE)
        return unknown(`transaction ${xid} has not started yet`);
      throw error;
    }
    if (row?.same !== true) return unknown(`transaction ${xid} belongs to another cluster or timeline`);
    switch (row.status ?? '') {
      case 'committed':
        return { verdict: 'commit', by: 'xact-status' };
      case 'aborted':
        return { verdict: 'rollback', by: 'xact-status' };
      case 'in progress':
        return { verdict: 'open', by: 'xact-status' };
      default:
        return unknown(`the server has forgotten transaction ${xid}`);
    }
  }

  #identityOf(session: SqlSession): Promise<string> {
    let identity = this.#identities.get(session);
    if (identity === undefined) {
      identity = databaseIdentity(session);
      this.#identities.set(session, identity);
      identity.catch(() => this.#identities.delete(session));
    }
    return identity;
  }
}
