import {
  HandlerAbandoned,
  type SqlSession,
  type TransactionRunner,
  type TransactionWork,
} from '@waybill/kernel';
import { type PrismaRawClient, PrismaSession } from './prisma-session.js';
import { limitIdleTime } from './statements.generated.js';

/** The part of a Prisma client that opens interactive transactions. */
export interface PrismaTransactions<Handle extends PrismaRawClient> extends PrismaRawClient {
  $transaction<T>(
    work: (tx: Handle) => Promise<T>,
    options?: { maxWait?: number; timeout?: number; isolationLevel?: 'ReadCommitted' },
  ): Promise<T>;
}

/** How long Prisma may wait for a connection of its pool, in milliseconds. */
const MAX_WAIT_MS = 10_000;

/** Runs handlers' transactions as Prisma's interactive ones. Prisma rolls them back and cuts them off at their time-out. */
export class PrismaTransactionRunner<Handle extends PrismaRawClient> implements TransactionRunner<Handle> {
  readonly kind = 'prisma';
  readonly session: SqlSession;

  constructor(
    private readonly client: PrismaTransactions<Handle>,
    private readonly schema: string,
  ) {
    this.session = new PrismaSession(client, schema);
  }

  async run<T>({ work, last, timeoutMs }: TransactionWork<Handle, T>): Promise<T> {
    const abandoned = new AbortController();
    const timer = setTimeout(() => abandoned.abort(new HandlerAbandoned(timeoutMs)), timeoutMs);
    const limit = new Promise<never>((_, reject) => {
      abandoned.signal.addEventListener('abort', () => reject(abandoned.signal.reason as Error), {
        once: true,
      });
    });
    // The race below may be over when this rejects.
    limit.catch(() => {});
    try {
      return await this.client.$transaction(
        async (handle) => {
          const session = new PrismaSession(handle, this.schema);
          // A process that stops in here must not hold its locks for longer than this.
          await session.run(limitIdleTime, `${timeoutMs}`);
          const running = work({ session, handle });
          running.catch(() => {});
          const result = await Promise.race([running, limit]);
          const statements = last?.(result) ?? [];
          for (const { statement, params } of statements) await session.run(statement, ...params);
          // Fails in a transaction in which a statement has failed: its COMMIT would roll back without a word.
          if (statements.length === 0) await session.run(limitIdleTime, `${timeoutMs}`);
          return result;
        },
        { maxWait: MAX_WAIT_MS, timeout: timeoutMs + 1_000, isolationLevel: 'ReadCommitted' },
      );
    } finally {
      clearTimeout(timer);
    }
  }
}
