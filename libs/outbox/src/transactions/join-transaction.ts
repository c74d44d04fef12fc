import type { SqlSession } from '@waybill/kernel';
import { type DrizzleTransaction, joinDrizzle } from './drizzle-transaction.js';
import { has, type JoinedTransaction, noTransaction, type TransactionAdapter } from './joined-transaction.js';
import { joinKnex, type KnexTransaction } from './knex-transaction.js';
import { joinKysely, type KyselyTransaction } from './kysely-transaction.js';
import { joinMikroOrm, type MikroOrmManager } from './mikro-orm-transaction.js';
import { joinPg, type PgTransactionClient } from './pg-transaction.js';
import { joinPostgresJs, type PostgresJsTransaction } from './postgres-js-transaction.js';
import type { PrismaRawClient } from './prisma-session.js';
import { joinPrisma } from './prisma-transaction.js';
import { joinTypeOrm, type TypeOrmManager, type TypeOrmQueryRunner } from './typeorm-transaction.js';

/** The accepted transactions: an open one of these drivers and ORMs, or a session of Waybill's own. */
export type TransactionHandle =
  | PgTransactionClient
  | PrismaRawClient
  | TypeOrmManager
  | TypeOrmQueryRunner
  | DrizzleTransaction
  | PostgresJsTransaction
  | KyselyTransaction
  | KnexTransaction
  | MikroOrmManager
  | SqlSession;

const joinSession: TransactionAdapter = (handle) => {
  if (!has(handle, 'run') || !has(handle, 'schema', 'string')) return undefined;
  const session = handle as SqlSession;
  return session.atCommit === undefined
    ? { session }
    : { session, onEnd: (callback) => session.atCommit?.(callback) };
};

const ADAPTERS: readonly TransactionAdapter[] = [
  joinSession,
  joinPg,
  joinPrisma,
  joinTypeOrm,
  joinDrizzle,
  joinPostgresJs,
  joinKysely,
  joinKnex,
  joinMikroOrm,
];

/**
 * Joins the transaction that the caller passed.
 * @param prepared whether statements are kept prepared, if the transaction is of the pg driver
 * @throws TransactionRequiredError for anything but an open transaction; if only the server or the ORM can tell, the
 *   first statement throws it
 */
export function joinTransaction(handle: unknown, schema: string, prepared: boolean): JoinedTransaction {
  const options = { schema, prepared };
  for (const join of ADAPTERS) {
    const joined = join(handle, options);
    if (joined !== undefined) return joined;
  }
  const what = handle === null ? 'null' : typeof handle;
  throw noTransaction(`A value that is not a transaction was passed (${what})`);
}
