import { TransactionRequiredError } from '../errors/errors.js';
import { bindStatement, type BoundStatement } from './bound-statement.js';
import type { PgConnection } from './pg-session.js';
import type { SqlSession } from './sql-session.js';
import { type Statement, statement } from './statement.js';

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
  #broken: { readonly error: unknown } | undefined;

  /**
   * @param timeoutMs for how long the transaction may be idle, or wait for a lock: a process that stops in it must not
   *   hold its locks for longer
   */
  constructor(
    private readonly connection: PgConnection,
    private readonly prepared: boolean,
    timeoutMs: number,
  ) {
    this.schema = connection.schema;
    this.#waiting = [this.#own(bindStatement(limitTransaction, `${timeoutMs}`))];
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

  /** Rolls back, behind all that was asked for. Never throws. */
  async rollback(): Promise<void> {
    await this.#flushing;
    if (this.#begun) await this.connection.rollback();
  }

  /**
   * Commits, together with these statements.
   * @returns false, with nothing done, when the transaction has been ended by somebody else
   */
  async commit(last: readonly BoundStatement[]): Promise<boolean> {
    await this.#flushing;
    this.#assertWhole();
    // Outside a transaction the last statements would take effect by themselves, COMMIT or not.
    if (this.status === 'I') return false;
    const { ahead, begin } = this.#take();
    await this.connection.runBatch([...ahead, ...last], { begin, commit: true });
    for (const callback of this.#atCommit) callback();
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
    const statements = wanted === undefined ? ahead : [...ahead, wanted];
    const rows = await this.connection.runBatch(statements, { begin, failed });
    this.#answered = true;
    return rows.at(-1) ?? [];
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
