import {
  type BoundStatement,
  bindStatement,
  DatabaseUnavailableError,
  HandlerAbandonedError,
  type SqlSession,
  type Statement,
  type TransactionRunner,
  type TransactionWork,
} from '@waybill/kernel';
import { TransactionLostError } from '@waybill/kernel/internal';
import { limitIdleTime, restoreSession } from '../statements.generated.js';
import { joinTransaction } from './join-transaction.js';
import { type JoinedTransaction, noTransaction } from './joined-transaction.js';
import type { TransactionOpener } from './transaction-opener.js';

/** Time limit for the transaction around one of Waybill's statements, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 30_000;

/** Time limits for opening a transaction, and for Waybill's statements in it and COMMIT, in milliseconds. */
const OPEN_MS = 25_000;
const ANSWER_MS = 15_000;

/**
 * How much longer the server's limits are than the runner's, in milliseconds: a lost connection says less than
 * HandlerAbandonedError.
 */
const IDLE_SLACK_MS = 500;

/** Runs transactions of handlers, and business transactions, as those of an ORM. */
export class OrmTransactionRunner<Handle> implements TransactionRunner<Handle> {
  readonly kind: string;
  /** Role and search path only: the connection is the ORM's, and may have settings of its own. */
  readonly resetsSession = false;
  readonly session: SqlSession;

  /** @param prepared whether Waybill's own statements are kept prepared, if the ORM runs on pg */
  constructor(
    private readonly opener: TransactionOpener<Handle>,
    private readonly schema: string,
    private readonly prepared: boolean = true,
  ) {
    this.kind = opener.kind;
    this.session = opener.alone?.(schema) ?? new StatementSession(this, schema);
  }

  async run<T>(transaction: TransactionWork<Handle, T>): Promise<T> {
    const { timeoutMs } = transaction;
    const limit = new TimeLimit();
    let quiet: (() => void) | undefined;
    let isLost = false;
    limit.begin(OPEN_MS, () => unanswered(`opening a transaction with ${this.kind}`, OPEN_MS));
    const opened = this.opener
      .open((handle) => {
        limit.assertNotOver();
        const joined = this.#join(handle);
        quiet = joined.onLost?.(() => (isLost = true));
        return this.#within(handle, joined, transaction, limit);
      }, timeoutMs)
      .catch((error: unknown) => {
        throw isLost ? new TransactionLostError(error, true) : error;
      })
      .finally(() => {
        limit.end();
        quiet?.();
      });
    // An abandoned transaction rolls back, but may have to wait for a running statement first.
    return Promise.race([opened, limit.exceeded]);
  }

  async #within<T>(
    handle: Handle,
    { session, cutOff, runTogether = oneByOne(session) }: JoinedTransaction,
    { work, last, timeoutMs }: TransactionWork<Handle, T>,
    limit: TimeLimit,
  ): Promise<T> {
    const { opener } = this;
    const statementLimit = (doing: string): void =>
      limit.begin(ANSWER_MS, () => unanswered(`${doing} by ${this.kind}`, ANSWER_MS), cutOff);
    statementLimit('beginning a transaction');
    // A process that hangs in here must not hold its locks for much longer than this.
    const [before] = await session.run(limitIdleTime, `${timeoutMs + IDLE_SLACK_MS}`);
    const loan = opener.lend?.(handle);
    // A handler emits on the session; a late emit must not reach another transaction.
    const restore = bindStatement(restoreSession, before?.role ?? 'none', before?.path ?? '');
    const ours = new WorkSession(session, restore);
    limit.begin(timeoutMs, () => new HandlerAbandonedError(timeoutMs), cutOff);
    const result = await limit
      .over(async () => {
        const worked = await work({ session: ours, handle: loan?.lent ?? handle });
        await opener.flush?.(handle);
        return worked;
      })
      .finally(() => {
        ours.close();
        loan?.revoke();
      });
    statementLimit('committing a transaction');
    // Fails in a transaction in which a statement has failed: its COMMIT would silently roll back.
    await runTogether([restore, ...(last?.(result) ?? [])]);
    return result;
  }

  #join(handle: Handle): JoinedTransaction {
    const joined = joinTransaction(handle, this.schema, this.prepared);
    return { ...joined, session: this.opener.session?.(joined.session, handle) ?? joined.session };
  }
}

function oneByOne(session: SqlSession): (statements: readonly BoundStatement[]) => Promise<void> {
  return async (statements) => {
    for (const { statement, params } of statements) await session.run(statement, ...params);
  };
}

function unanswered(doing: string, ms: number): DatabaseUnavailableError {
  return new DatabaseUnavailableError(`No response within ${ms} ms while ${doing}`);
}

/** Time limits of a transaction's parts, one after the other. */
class TimeLimit {
  /** Rejects when a part takes too long. */
  readonly exceeded: Promise<never>;
  #exceed: (error: Error) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #over: Error | undefined;
  #cut: Promise<void> | undefined;

  constructor() {
    this.exceeded = new Promise((_, reject) => (this.#exceed = reject));
    // The promise that races against it may have won.
    this.exceeded.catch(() => {});
  }

  /**
   * Begins the next part, which ends the previous one.
   * @param cutOff called when the time is over, and awaited: the ORM releases the connection after it
   */
  begin(ms: number, error: () => Error, cutOff?: () => Promise<void>): void {
    clearTimeout(this.#timer);
    if (this.#over !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#over = error();
      this.#exceed(this.#over);
      this.#cut = cutOff?.();
    }, ms);
  }

  /** Ends the last part. */
  end(): void {
    clearTimeout(this.#timer);
  }

  assertNotOver(): void {
    if (this.#over !== undefined) throw this.#over;
  }

  /** Runs work until it ends or the time is over. */
  async over<T>(work: () => Promise<T>): Promise<T> {
    const running = work();
    // The outcome of abandoned work has already been handled.
    running.catch(() => {});
    try {
      return await Promise.race([running, this.exceeded]);
    } finally {
      await this.#cut;
    }
  }
}

/** Runs single statements, each in its own transaction. */
class StatementSession implements SqlSession {
  constructor(
    private readonly runner: TransactionRunner,
    readonly schema: string,
  ) {}

  run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    return this.runner.run({
      work: ({ session }) => session.run(statement, ...params),
      timeoutMs: STATEMENT_TIMEOUT_MS,
    });
  }
}

/** The session of a transaction, for the duration of its work. */
class WorkSession implements SqlSession {
  #open = true;

  /** @param restore restores role and search path */
  constructor(
    private readonly session: SqlSession,
    private readonly restore: BoundStatement,
  ) {}

  get schema(): string {
    return this.session.schema;
  }

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    if (!this.#open) throw noTransaction('The transaction has ended, and its session was used afterwards');
    return this.session.run(statement, ...params);
  }

  async resetSession(): Promise<void> {
    await this.run(this.restore.statement, ...this.restore.params);
  }

  close(): void {
    this.#open = false;
  }
}
