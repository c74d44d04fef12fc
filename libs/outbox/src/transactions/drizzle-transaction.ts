import { has, type JoinedTransaction, noTransaction, type TransactionAdapter } from './joined-transaction.js';
import { lendTransaction, type LentTransaction, StatementGate } from './lend-transaction.js';
import { joinPgBeneath } from './pg-transaction.js';
import { joinPostgresJs } from './postgres-js-transaction.js';
import type { TransactionOpener } from './transaction-opener.js';

/** The part of a transaction of Drizzle (for PostgreSQL) that Waybill uses. */
export interface DrizzleTransaction {
  execute(...args: never[]): unknown;
  rollback(): never;
}

/** The part of a Drizzle database that opens transactions. */
export interface DrizzleTransactions<Handle extends DrizzleTransaction> {
  transaction<T>(
    work: (tx: Handle) => Promise<T>,
    config?: { isolationLevel?: 'read committed' },
  ): Promise<T>;
}

const INSTEAD = 'the tx that db.transaction(async (tx) => …) passes to its callback, before it ends';

/**
 * Drizzle on node-postgres or postgres.js: a transaction, including nested ones. Drizzle's own `tx.execute` takes
 * parameters only in its `sql` tag, which Waybill does not import, and reads timestamps as text; so Waybill uses the
 * client that the transaction's session holds. A test checks that internal field.
 */
export const joinDrizzle: TransactionAdapter = (handle, options) => {
  if (!has(handle, 'execute') || !has(handle, 'session', 'object') || !has(handle, 'dialect', 'object'))
    return undefined;
  if (!has(handle, 'rollback'))
    throw noTransaction('A Drizzle database outside any transaction was passed', INSTEAD);
  const { client } = (handle as { session: { client?: unknown } }).session;
  const what = 'A Drizzle transaction';
  if (ended.get(handle as object) === true) throw noTransaction(`${what} that has ended was passed`, INSTEAD);
  const joined =
    joinPostgresJs(client, options) ??
    joinPgBeneath({ client: () => Promise.resolve(client), what, instead: INSTEAD }, options);
  rememberEnd(handle as object, joined);
  return joined;
};

/** Whether joined transactions have ended; Drizzle's own do not know it. */
const ended = new WeakMap<object, boolean>();

/** When a transaction that has ended is passed, its client may already be in another transaction. */
function rememberEnd(handle: object, { onEnd }: JoinedTransaction): void {
  if (ended.has(handle)) return;
  ended.set(handle, false);
  onEnd?.(() => ended.set(handle, true));
}

/** Opens transactions by `db.transaction`; the handle is Drizzle's transaction. */
export function drizzleOpener<Handle extends DrizzleTransaction>(
  db: DrizzleTransactions<Handle>,
): TransactionOpener<Handle> {
  return {
    kind: 'drizzle',
    open: (work) => openDrizzle(db, work),
    lend: lendDrizzle,
  };
}

/** Time limit for the response to BEGIN, in milliseconds. */
const BEGIN_MS = 15_000;

/**
 * The object with which Drizzle on node-postgres runs statements; a pool's makes one on a client for each transaction.
 */
interface NodePgSession<Handle> {
  readonly client: unknown;
  readonly dialect: unknown;
  readonly schema: unknown;
  readonly options: unknown;
  readonly transaction: DrizzleTransactions<DrizzleTransaction & Handle>['transaction'];
}

interface Pool {
  connect(): Promise<PoolClient>;
}

interface PoolClient {
  readonly connection?: { readonly stream: { destroy(): unknown } };
  on(event: 'error', listener: () => void): unknown;
  off(event: 'error', listener: () => void): unknown;
  getTransactionStatus(): string | null;
  release(destroy: boolean): void;
}

/**
 * Drizzle does not release a pool's client whose BEGIN has failed: after as many lost connections as the pool's
 * maximum, it has none left. So Waybill takes the client, and runs Drizzle's transaction on it.
 */
async function openDrizzle<Handle extends DrizzleTransaction, T>(
  db: DrizzleTransactions<Handle>,
  work: (tx: Handle) => Promise<T>,
): Promise<T> {
  const { session } = db as unknown as { session?: NodePgSession<Handle> };
  const config = { isolationLevel: 'read committed' } as const;
  if (session === undefined || !isPool(session.client)) return db.transaction(work, config);
  const client = await session.client.connect();
  client.on('error', ignore);
  const limit = setTimeout(() => client.connection?.stream.destroy(), BEGIN_MS);
  try {
    const Session = session.constructor as new (...args: unknown[]) => NodePgSession<Handle>;
    const alone = new Session(client, session.dialect, session.schema, session.options);
    return await alone.transaction((tx) => {
      clearTimeout(limit);
      return work(tx);
    }, config);
  } finally {
    clearTimeout(limit);
    client.off('error', ignore);
    client.release(client.getTransactionStatus() !== 'I');
  }
}

function isPool(client: unknown): client is Pool {
  return has(client, 'connect') && has(client, 'idleCount', 'number');
}

function ignore(): void {}

/**
 * Drizzle does not notice that one of its transactions has ended: used later, it would write on a connection that
 * serves other work; so would a query that was built before and is awaited later.
 */
function lendDrizzle<Handle extends DrizzleTransaction>(handle: Handle): LentTransaction<Handle> {
  const gate = new StatementGate();
  // The session belongs to this transaction alone.
  const { session } = handle as unknown as { session: { client: object } };
  session.client = gate.before(session.client, ['query', 'unsafe', 'savepoint']);
  const { lent, revoke } = lendTransaction(handle, { what: 'transaction', refused: [] });
  return {
    lent,
    revoke: () => {
      gate.revoke();
      revoke();
    },
  };
}
