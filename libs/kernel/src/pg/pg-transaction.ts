import { TransactionRequiredError } from '../errors/usage-errors.js';
import { bindStatement, type BoundStatement } from '../sql/bound-statement.js';
import { RESET_ROLE, RESET_SESSION } from './session-reset.js';
import type { PgConnection } from './pg-session.js';
import type { SqlSession } from '../sql/sql-session.js';
import { type Statement, statement } from '../sql/statement.js';

const limitTransaction = statement<[timeoutMs: string], Record<never, never>>(
  'limit-transaction',
  `select pg_catalog.set_config('idle_in_transaction_session_timeout', $1, true),
          pg_catalog.set_config('lock_timeout', $1, true)`,
);

/** What goes ahead of a statement. */
interface Taken {
  readonly ahead: readonly BoundStatement[];
  readonly begin: boolean;
}

/**
 * A transaction on a connection that is held for it. BEGIN, and statements that nobody waits for, are sent together with
 * the next statement whose answer is wanted: a round trip costs more than most statements do. They reach the server in the
 * order in which they were asked for, also among what the holder of the client sends.
 */
export class PgTransaction implements SqlSession {
  readonly schema: string;
  /** Not sent yet. */
  #waiting: BoundStatement[];
  #begun = false;
  #answered = false;
  /** Under way for the client's holder, who waits for it. */
  #flushing: Promise<void> | undefined;
  readonly #atCommit = new Set<() => void>();
  #closed = false;
  #abandoned = false;
  #broken: { readonly error: unknown } | undefined;

  /**
   * @param timeoutMs for how long the transaction may be idle, or wait for a lock: a process that stops in it must not
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

  /** The state of the transaction as pg tells it: in one from the very start, though the server may not know of it yet. */
  get status(): string | null {
    return this.#answered ? this.connection.client.getTransactionStatus() : 'T';
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
    this.#waiting.push(...RESET_SESSION.map((statement) => this.#own(statement)), this.#limits);
  }

  /** Sends what waits, before the holder of the client sends something; undefined when there is nothing to wait for. */
  flush(): Promise<void> | undefined {
    if (this.#waiting.length === 0) return this.#flushing;
    const taken = this.#take();
    const before = this.#flushing ?? Promise.resolve();
    const flushing = before
      .then(() => this.#send(taken))
      .then(
        () => {},
        // Remembered: nothing can be committed any more.
        () => {},
      );
    this.#flushing = flushing;
    void flushing.then(() => {
      if (this.#flushing === flushing) this.#flushing = undefined;
    });
    return flushing;
  }

  /** Takes no more: the connection may serve somebody else soon. What waits is sent with COMMIT. */
  close(): void {
    this.#closed = true;
  }

  /** Sends nothing more, not even what waits, and has the connection closed: somebody may still be working with it. */
  abandon(): void {
    this.close();
    this.#abandoned = true;
    this.connection.spoil();
  }

  /**
   * Rolls back, behind all that was asked for.
   * @returns false when the connection was lost: what became of the transaction is then unknown. Never throws
   */
  async rollback(wasLent: boolean): Promise<boolean> {
    await this.#flushing;
    if (!this.#begun) return true;
    if (!(await this.connection.rollback())) return false;
    // Settings have been rolled back; locks of the session, and what was committed in between, have not.
    if (!wasLent) return true;
    const reset = RESET_SESSION.map((statement) => this.#own(statement));
    await this.connection.runBatch(reset).catch(() => this.connection.spoil());
    return true;
  }

  /**
   * Commits, together with these statements.
   * @param wasLent whether somebody else has run statements on the connection: it is then set back behind COMMIT
   * @returns false, with nothing done, when the transaction has been ended by somebody else
   */
  async commit(last: readonly BoundStatement[], wasLent: boolean): Promise<boolean> {
    await this.#flushing;
    this.#assertWhole();
    // Outside a transaction the last statements would take effect by themselves, COMMIT or not.
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

  #take(): Taken {
    const taken = { ahead: this.#waiting, begin: !this.#begun };
    this.#waiting = [];
    this.#begun = true;
    return taken;
  }

  /** Sends what has waited, and this behind it in the same round trip. @returns the rows of the latter */
  async #send({ ahead, begin }: Taken, wanted?: BoundStatement): Promise<unknown[]> {
    const failed = (at: number, error: unknown): void => {
      // Savepoints may be among them: nobody can say what a rollback to one would leave.
      if (at < ahead.length) this.#broken = { error };
    };
    if (this.#abandoned)
      throw new TransactionRequiredError('The transaction was given up, and a statement for it was not sent');
    const statements = wanted === undefined ? ahead : [...ahead, wanted];
    // A lock may be waited for as long as the transaction may take.
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

  #assertWhole(): void {
    if (this.#broken !== undefined) throw this.#broken.error;
  }
}
