import { type PgQueryable, PgSession, type SqlSession, TransactionRequiredError } from '@waybill/kernel';
import { PrismaSession, type PrismaRawClient } from './prisma-session.js';

/** A client of the pg driver, in a transaction: after `BEGIN`, before `COMMIT` or `ROLLBACK`. */
export interface PgTransactionClient {
  query(...args: never[]): unknown;
  getTransactionStatus(): string | null;
}

/** What can be published with: an open transaction of pg or of Prisma, or a session of Waybill's own. */
export type TransactionHandle = PgTransactionClient | PrismaRawClient | SqlSession;

/** A caller's transaction, as Waybill works with it. */
export interface JoinedTransaction {
  readonly session: SqlSession;
  /** Calls back when the transaction has ended; absent where the driver does not tell. */
  readonly onEnd?: (callback: () => void) => void;
}

/** Prisma marks the client that it hands to a transaction's callback with one of these: the first since 7.10. */
const PRISMA_TRANSACTION_MARKS = [
  Symbol.for('prisma.client.transaction.scope_context'),
  Symbol.for('prisma.client.transaction.id'),
];

/**
 * Looks at what the caller passed as transaction.
 * @param prepared whether a pg client may keep the statement prepared
 * @throws TransactionRequiredError for anything but an open transaction
 */
export function joinTransaction(handle: unknown, schema: string, prepared: boolean): JoinedTransaction {
  if (isSession(handle)) return { session: handle };
  if (isPgClient(handle)) return joinPg(handle, schema, prepared);
  if (isPgPool(handle))
    throw new TransactionRequiredError('A pg pool was passed where a transaction is needed');
  if (isPrismaClient(handle)) {
    const marks = handle as unknown as Record<symbol, unknown>;
    if (PRISMA_TRANSACTION_MARKS.every((mark) => marks[mark] === undefined)) {
      throw new TransactionRequiredError('A Prisma client outside any transaction was passed');
    }
    return { session: new PrismaSession(handle, schema) };
  }
  const what = handle === null ? 'null' : typeof handle;
  throw new TransactionRequiredError(`Something that is no transaction was passed (${what})`);
}

function joinPg(client: PgTransactionClient, schema: string, prepared: boolean): JoinedTransaction {
  const status = client.getTransactionStatus();
  if (status === 'E') throw new TransactionRequiredError('The transaction has already failed');
  if (status !== 'T')
    throw new TransactionRequiredError('A pg client without an open transaction was passed');
  return {
    session: new PgSession(client as unknown as PgQueryable, schema, prepared),
    onEnd: (callback) => watchEnd(client, callback),
  };
}

interface WatchedConnection {
  on(event: 'readyForQuery', listener: (message: { status: string }) => void): void;
  off(event: 'readyForQuery', listener: (message: { status: string }) => void): void;
}

const watched = new WeakSet<object>();

/** The server says behind every statement whether a transaction is still open; pg hands that on as an event. */
function watchEnd(client: PgTransactionClient, callback: () => void): void {
  const { connection } = client as unknown as { connection?: WatchedConnection };
  if (connection === undefined || watched.has(client)) return;
  watched.add(client);
  const listener = (message: { status: string }): void => {
    if (message.status !== 'I') return;
    connection.off('readyForQuery', listener);
    watched.delete(client);
    callback();
  };
  connection.on('readyForQuery', listener);
}

function isSession(handle: unknown): handle is SqlSession {
  return has(handle, 'run') && has(handle, 'schema', 'string');
}

function isPgClient(handle: unknown): handle is PgTransactionClient {
  return has(handle, 'query') && has(handle, 'getTransactionStatus');
}

function isPgPool(handle: unknown): boolean {
  return has(handle, 'query') && has(handle, 'connect') && has(handle, 'idleCount', 'number');
}

function isPrismaClient(handle: unknown): handle is PrismaRawClient {
  return has(handle, '$queryRawUnsafe') && has(handle, '$executeRawUnsafe');
}

function has(value: unknown, name: string, type = 'function'): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false;
  return typeof (value as Record<string, unknown>)[name] === type;
}
