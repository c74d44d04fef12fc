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

/** What can be published with: an open transaction of one of these, or a session of Waybill's own. */
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
 * Looks at what the caller passed as transaction.
 * @param prepared whether statements are kept prepared, where the transaction is of the pg driver
 * @throws TransactionRequiredError for anything but an open transaction; where only the server or the ORM can tell, the
 *   first statement does
 */
export function joinTransaction(handle: unknown, schema: string, prepared: boolean): JoinedTransaction {
  const options = { schema, prepared };
  for (const join of ADAPTERS) {
    const joined = join(handle, options);
    if (joined !== undefined) return joined;
  }
  const what = handle === null ? 'null' : typeof handle;
  throw noTransaction(`Something that is no transaction was passed (${what})`);
}
