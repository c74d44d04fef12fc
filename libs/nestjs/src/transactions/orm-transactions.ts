import type { TransactionRunner } from '@waybill/kernel';
import {
  type DrizzleTransaction,
  type DrizzleTransactions,
  type KnexTransaction,
  type KnexTransactions,
  type KyselyTransaction,
  type KyselyTransactions,
  type MikroOrmManager,
  type MikroOrmTransactions,
  OrmTransactionRunner,
  prismaOpener,
  type PrismaRawClient,
  type PrismaTransactions,
  type TransactionOpener,
  type TypeOrmManager,
  typeOrmOpener,
  type TypeOrmTransactions,
} from '@waybill/outbox';
import { drizzleOpener, knexOpener, kyselyOpener, mikroOrmOpener } from '@waybill/outbox/internal';
import type { TransactionRunnerFactory } from '../options/runner-factory.js';

/**
 * Opens handlers' transactions as Prisma's interactive transactions: set it as `transactions`. The handle is Prisma's
 * `tx`.
 */
export function prismaTransactions<Handle extends PrismaRawClient>(
  client: PrismaTransactions<Handle>,
): TransactionRunnerFactory {
  return by(prismaOpener(client));
}

/** Opens handlers' transactions with TypeORM: set it as `transactions`. The handle is an `EntityManager`. */
export function typeormTransactions<Manager extends TypeOrmManager>(
  dataSource: TypeOrmTransactions<Manager>,
): TransactionRunnerFactory {
  return by(typeOrmOpener(dataSource));
}

/** Opens handlers' transactions with Drizzle, on node-postgres or postgres.js. The handle is Drizzle's `tx`. */
export function drizzleTransactions<Handle extends DrizzleTransaction>(
  db: DrizzleTransactions<Handle>,
): TransactionRunnerFactory {
  return by(drizzleOpener(db));
}

/** Opens handlers' transactions with Kysely, on its PostgresDialect. The handle is a `Transaction`. */
export function kyselyTransactions<Handle extends KyselyTransaction>(
  db: KyselyTransactions<Handle>,
): TransactionRunnerFactory {
  return by(kyselyOpener(db));
}

/** Opens handlers' transactions with Knex, on pg. The handle is a `Knex.Transaction`. */
export function knexTransactions<Handle extends KnexTransaction>(
  knex: KnexTransactions<Handle>,
): TransactionRunnerFactory {
  return by(knexOpener(knex));
}

/**
 * Opens handlers' transactions with MikroORM, on its PostgreSQL driver. The handle is a forked `EntityManager`; its
 * changes are flushed before the transaction is committed.
 */
export function mikroOrmTransactions<Manager extends MikroOrmManager>(
  orm: MikroOrmTransactions<Manager>,
): TransactionRunnerFactory {
  return by(mikroOrmOpener(orm));
}

function by<Handle>(opener: TransactionOpener<Handle>): TransactionRunnerFactory {
  return (schema, prepared) => new OrmTransactionRunner(opener, schema, prepared) as TransactionRunner;
}
