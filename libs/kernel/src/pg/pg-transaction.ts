import type pg from 'pg';
import { TransactionRequiredError } from '../errors/usage-errors.js';
import { bindStatement, type BoundStatement } from '../sql/bound-statement.js';
import { failureOf } from '../sql/failed-statement.js';
import { isAtRest, untilAtRest } from './at-rest.js';
import { respondedWithin } from './response-deadline.js';
import { RESET_ROLE, RESET_SESSION } from './session-reset.js';
import type { PgConnection } from './pg-session.js';
import type { SqlSession } from '../sql/sql-session.js';
import type { BatchEntry } from '../sql/statement-batch.js';
import { type Statement, statement } from '../sql/statement.js';
import { isTransactionConflict, translateDatabaseError } from '../sql/translate-error.js';

const limitTransaction = statement<[timeoutMs: string], Record<never, never>>(
  'limit-transaction',
  `select pg_catalog.set_config('idle_in_transaction_session_timeout', $1, true),
          pg_catalog.set_config('lock_timeout', $1, true)`,
);

/** What may be in the way of the next message's handler; RESET_SESSION does the same, and more, at the end. */
const resetSession = statement<[timeoutMs: string], Record<never, never>>(
  'reset-session',
  'select :schema.session_reset($1)',
);

/** Statements sent ahead of another. */
interface Taken {
  readonly ahead: readonly BoundStatement[];
  readonly begin: boolean;
}

/**
 * A transaction on a connection held for it. BEGIN, and statements whose result is not awaited, are sent together with
 * the next statement whose result is: a round trip costs more than most statements do. They reach the server in the
 * order of the calls, including those of the code that holds the client.
 */
export class PgTransaction implements SqlSession {
  readonly schema: string;
  /** Not sent yet. */
  #waiting: BoundStatement[];
  #begun = false;
  #answered = false;
  /** Whether the code that holds the client has sent something since the session was reset. */
  #isUsed = false;
  /** In flight, awaited by the code that holds the client. */
  #flushing: Promise<void> | undefined;
  readonly #atCommit = new Set<() => void>();
  #closed = false;
  #abandoned = false;
  #broken: { readonly error: unknown } | undefined;

  /**
   * @param timeoutMs how long the transaction may be idle, or wait for a lock: a process that hangs in it must not
   *   hold its locks for longer
   */
  constructor(
    private readonly connection: PgConnection,
    private readonly prepared: boolean,
    private readonly timeoutMs: number,
  ) {
    this.schema = connection.schema;
    this.#waiting = [this.#limits];
  }

  /** The transaction status as pg reports it: open from the start, even before BEGIN has been sent. */
  get status(): string | null {
    return this.#answered ? this.connection.client.getTransactionStatus() : 'T';
  }

  async failure(): Promise<Error | undefined> {
    await this.#atRest();
    if (this.status !== 'E') return undefined;
    const doing = 'Going on in a transaction';
    const first = failureOf(this.connection.client);
    if (isTransactionConflict(first)) return translateDatabaseError(first, doing);
    return TransactionRequiredError.afterFailure(doing, first);
  }

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    this.#assertOpen();
    this.#assertWhole();
    const taken = this.#take();
    await this.#flushing;
    return (await this.#send(taken, this.#own(bindStatement(statement, ...params)))) as Row[];
  }

  ahead(statement: BoundStatement): void {
    this.#assertOpen();
    this.#waiting.push(this.#own(statement));
  }

  atCommit(callback: () => void): void {
    this.#atCommit.add(callback);
  }

  resetSession(): void {
    this.#assertOpen();
    if (!this.#isUsed) return;
    this.#isUsed = false;
    // The role first: another one may not call Waybill's function.
    const reset = bindStatement(resetSession, `${this.timeoutMs}`);
    this.#waiting.push(this.#own(RESET_ROLE), this.#own(reset));
  }

  /** Sends waiting statements before the client's holder sends one; undefined when there is nothing to wait for. */
  flush(): Promise<void> | undefined {
    this.#isUsed = true;
    if (this.#waiting.length === 0) return this.#flushing;
    const taken = this.#take();
    const before = this.#flushing ?? Promise.resolve();
    return this.#noteFlushing(before.then(() => this.#send(taken)));
  }

  /** Whatever is sent next waits for this. If it fails, that is remembered, and nothing more is sent in the transaction. */
  #noteFlushing(sent: Promise<unknown>): Promise<void> {
    const flushing = sent.then(
      () => {},
      () => {},
    );
    this.#flushing = flushing;
    void flushing.then(() => {
      if (this.#flushing === flushing) this.#flushing = undefined;
    });
    return flushing;
  }

  /**
   * Sends a query of the client's holder in one round trip with the statements that wait.
   * @throws the driver's error if the query failed; that of a statement before it, if that one did
   */
  queryBehind(query: BatchEntry): Promise<pg.QueryResult> {
    this.#isUsed = true;
    const { ahead, begin } = this.#take();
    const before = this.#flushing;
    const send = (): Promise<pg.QueryResult> => this.#sendQuery(ahead, begin, query);
    const sent = before === undefined ? send() : before.then(send);
    void this.#noteFlushing(sent);
    return sent;
  }

  async #sendQuery(
    ahead: readonly BoundStatement[],
    begin: boolean,
    query: BatchEntry,
  ): Promise<pg.QueryResult> {
    this.#assertNotAbandoned();
    this.#assertWhole();
    const timeoutMs = Math.max(this.timeoutMs, this.connection.queryTimeoutMs);
    const failed = (at: number, error: unknown): void => {
      if (at < ahead.length) this.#broken = { error };
    };
    try {
      return await this.connection.queryBehind(ahead, query, { begin, failed, timeoutMs });
    } finally {
      this.#answered = true;
    }
  }

  /** Whether statements wait to be sent with the next one. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Why no statement of the code that holds the client may be sent; undefined if it may. Outside a transaction it would
   * be committed by itself: when BEGIN has failed, or the transaction has been ended.
   */
  get problem(): unknown {
    if (this.#broken !== undefined) return this.#broken.error;
    if (this.status !== 'I') return undefined;
    return new TransactionRequiredError('The work has ended its transaction itself, and went on');
  }

  /** Accepts no more statements: the connection may soon serve other work. Waiting ones are sent with COMMIT. */
  close(): void {
    this.#closed = true;
  }

  /** Sends nothing more, not even waiting statements, and closes the connection: user code may still be using it. */
  abandon(): void {
    this.close();
    this.#abandoned = true;
    this.connection.spoil();
  }

  /**
   * Rolls back, after all statements so far.
   * @returns false when the connection was lost: the transaction's outcome is then unknown. Never throws
   */
  async rollback(wasLent: boolean): Promise<boolean> {
    await this.#flushing;
    if (!this.#begun) return true;
    if (!(await this.connection.rollback())) return false;
    // Settings have been rolled back; session locks, and anything committed in between, have not.
    if (!wasLent) return true;
    const reset = RESET_SESSION.map((statement) => this.#own(statement));
    await this.connection.runBatch(reset).catch(() => this.connection.spoil());
    return true;
  }

  /**
   * Commits, together with these statements.
   * @param wasLent whether user code has run statements on the connection: its session is then reset after COMMIT
   * @returns false, with nothing done, when user code has ended the transaction
   */
  async commit(last: readonly BoundStatement[], wasLent: boolean): Promise<boolean> {
    await this.#atRest();
    this.#assertWhole();
    // Outside a transaction the last statements would take effect even without COMMIT.
    if (this.status === 'I') {
      this.connection.spoil();
      return false;
    }
    const { ahead, begin } = this.#take();
    const own = wasLent && last.length > 0 ? [this.#own(RESET_ROLE)] : [];
    const afterwards = wasLent ? RESET_SESSION.map((statement) => this.#own(statement)) : [];
    await this.connection.runBatch([...ahead, ...own, ...last], { begin, commit: true, afterwards });
    for (const callback of this.#atCommit) {
      try {
        callback();
      } catch {
        // A hint that fails changes nothing of what is committed.
      }
    }
    return true;
  }

  /** The status is that of the last statement only when all have been answered. */
  async #atRest(): Promise<void> {
    await this.#flushing;
    const { client, queryTimeoutMs } = this.connection;
    if (isAtRest(client)) return;
    const timeoutMs = Math.max(this.timeoutMs, queryTimeoutMs);
    await respondedWithin(client, timeoutMs, 'Waiting for statements in a transaction', untilAtRest(client));
  }

  #take(): Taken {
    const taken = { ahead: this.#waiting, begin: !this.#begun };
    this.#waiting = [];
    this.#begun = true;
    return taken;
  }

  /** Sends waiting statements, followed by this one, in the same round trip. @returns the rows of this one */
  async #send({ ahead, begin }: Taken, wanted?: BoundStatement): Promise<unknown[]> {
    const failed = (at: number, error: unknown): void => {
      // Savepoints may be among them: it is unknown what a rollback to one would leave.
      if (at < ahead.length) this.#broken = { error };
    };
    this.#assertNotAbandoned();
    const statements = wanted === undefined ? ahead : [...ahead, wanted];
    // Waiting for a lock may take as long as the transaction may.
    const timeoutMs = Math.max(this.timeoutMs, this.connection.queryTimeoutMs);
    const rows = await this.connection.runBatch(statements, { begin, failed, timeoutMs });
    this.#answered = true;
    return rows.at(-1) ?? [];
  }

  get #limits(): BoundStatement {
    return this.#own(bindStatement(limitTransaction, `${this.timeoutMs}`));
  }

  #own(statement: BoundStatement): BoundStatement {
    return { ...statement, prepared: this.prepared };
  }

  #assertOpen(): void {
    if (this.#closed)
      throw new TransactionRequiredError('The transaction has ended, and its session was used afterwards');
  }

  #assertNotAbandoned(): void {
    if (this.#abandoned)
      throw new TransactionRequiredError(
        'The transaction was abandoned, and a statement for it was not sent',
      );
  }

  #assertWhole(): void {
    if (this.#broken !== undefined) throw this.#broken.error;
  }
}
