import {
  HandlerAbandoned,
  type SqlSession,
  type Statement,
  type TransactionRunner,
  type TransactionWork,
} from '@waybill/kernel';
import { limitIdleTime } from '../statements.generated.js';
import { joinTransaction } from './join-transaction.js';
import { type JoinedTransaction, noTransaction } from './joined-transaction.js';
import type { TransactionOpener } from './transaction-opener.js';

/** How long the transaction around one statement of Waybill's own may take, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 30_000;

/** The server's limits come behind the runner's own, in milliseconds: a lost connection says less than HandlerAbandoned. */
const IDLE_SLACK_MS = 500;

/** Runs transactions of handlers, and business transactions, as those of an ORM. */
export class OrmTransactionRunner<Handle> implements TransactionRunner<Handle> {
  readonly kind: string;
  readonly session: SqlSession;

  /** @param prepared whether Waybill's own statements are kept prepared, where the ORM runs on pg */
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
    const limit = new TimeLimit(timeoutMs);
    let quiet: (() => void) | undefined;
    const opened = this.opener
      .open((handle) => {
        const joined = this.#join(handle);
        quiet = joined.hearLoss?.();
        return this.#within(handle, joined, transaction, limit);
      }, timeoutMs)
      .finally(() => quiet?.());
    // An abandoned transaction rolls back, but may have to wait for a statement under way before it does.
    return Promise.race([opened, limit.exceeded]);
  }

  async #within<T>(
    handle: Handle,
    { session, cutOff }: JoinedTransaction,
    { work, last, timeoutMs }: TransactionWork<Handle, T>,
    limit: TimeLimit,
  ): Promise<T> {
    const { opener } = this;
    // A process that stops in here must not hold its locks for much longer than this.
    const bound = `${timeoutMs + IDLE_SLACK_MS}`;
    await session.run(limitIdleTime, bound);
    const loan = opener.lend?.(handle);
    // Emitting in a handler goes by the session; what is emitted late must not reach somebody else's transaction.
    const ours = new WorkSession(session);
    const result = await limit
      .over(async () => {
        const worked = await work({ session: ours, handle: loan?.lent ?? handle });
        await opener.settle?.(handle);
        return worked;
      }, cutOff)
      .finally(() => {
        ours.close();
        loan?.revoke();
      });
    const statements = last?.(result) ?? [];
    for (const { statement, params } of statements) await session.run(statement, ...params);
    // Fails in a transaction in which a statement has failed: its COMMIT would roll back without a word.
    if (statements.length === 0) await session.run(limitIdleTime, bound);
    return result;
  }

  #join(handle: Handle): JoinedTransaction {
    const joined = joinTransaction(handle, this.schema, this.prepared);
    return { ...joined, session: this.opener.session?.(joined.session, handle) ?? joined.session };
  }
}

/** The time that the work in a transaction has. */
class TimeLimit {
  /** Rejects with {@link HandlerAbandoned} when the work has taken too long. */
  readonly exceeded: Promise<never>;
  #exceed: (error: HandlerAbandoned) => void = () => {};

  constructor(private readonly timeoutMs: number) {
    this.exceeded = new Promise((_, reject) => (this.#exceed = reject));
    // Whoever races against it may have won.
    this.exceeded.catch(() => {});
  }

  /** @param cutOff begun when the time is over, and waited for: the ORM gives the connection back behind it */
  async over<T>(work: () => Promise<T>, cutOff: (() => Promise<void>) | undefined): Promise<T> {
    let cut: Promise<void> | undefined;
    const timer = setTimeout(() => {
      this.#exceed(new HandlerAbandoned(this.timeoutMs));
      cut = cutOff?.();
    }, this.timeoutMs);
    const running = work();
    // Whatever abandoned work ends with, it has been dealt with already.
    running.catch(() => {});
    try {
      return await Promise.race([running, this.exceeded]);
    } finally {
      clearTimeout(timer);
      await cut;
    }
  }
}

/** Runs single statements, each in a transaction of its own. */
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

/** The session of a transaction, for the time of its work. */
class WorkSession implements SqlSession {
  #open = true;

  constructor(private readonly session: SqlSession) {}

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

  close(): void {
    this.#open = false;
  }
}
