import { has, noTransaction, type TransactionAdapter } from './joined-transaction.js';
import { type PrismaRawClient, PrismaSession } from './prisma-session.js';
import type { TransactionOpener } from './transaction-opener.js';

/** The part of a Prisma client that opens interactive transactions. */
export interface PrismaTransactions<Handle extends PrismaRawClient> extends PrismaRawClient {
  $transaction<T>(
    work: (tx: Handle) => Promise<T>,
    options?: { maxWait?: number; timeout?: number; isolationLevel?: 'ReadCommitted' },
  ): Promise<T>;
}

/** Prisma marks the client that it passes to a transaction's callback with one of these: the first since 7.10. */
const MARKS = [
  Symbol.for('prisma.client.transaction.scope_context'),
  Symbol.for('prisma.client.transaction.id'),
];

const INSTEAD = 'the tx that prisma.$transaction(async (tx) => …) passes to its callback, before it ends';

/** How long Prisma may wait for a connection of its pool, in milliseconds. */
const MAX_WAIT_MS = 10_000;

/** Prisma: the client of an interactive transaction. It does not report its end, and refuses later queries. */
export const joinPrisma: TransactionAdapter = (handle, { schema }) => {
  if (!has(handle, '$queryRawUnsafe') || !has(handle, '$executeRawUnsafe')) return undefined;
  const marks = handle as Record<symbol, unknown>;
  if (MARKS.every((mark) => marks[mark] === undefined))
    throw noTransaction('A Prisma client outside any transaction was passed', INSTEAD);
  return { session: new PrismaSession(handle as PrismaRawClient, schema) };
};

/** Opens Prisma's interactive transactions; the handle is Prisma's transaction client. */
export function prismaOpener<Handle extends PrismaRawClient>(
  client: PrismaTransactions<Handle>,
): TransactionOpener<Handle> {
  return {
    kind: 'prisma',
    alone: (schema) => new PrismaSession(client, schema),
    // Prisma ends a transaction at its own time-out, which is longer than the runner's.
    open: (work, timeoutMs) =>
      client.$transaction(work, {
        maxWait: MAX_WAIT_MS,
        timeout: timeoutMs + 1_000,
        isolationLevel: 'ReadCommitted',
      }),
  };
}
