import {
  EntityManager as MikroEntityManager,
  EntitySchema,
  MikroORM,
  PostgreSqlDriver,
} from '@mikro-orm/postgresql';
import { PrismaPg } from '@prisma/adapter-pg';
import { PgDatabase, PgTransactionRunner, type TransactionRunner } from '@waybill/kernel';
import {
  drizzleTransactions,
  knexTransactions,
  kyselyTransactions,
  mikroOrmTransactions,
  prismaTransactions,
  type TransactionRunnerFactory,
  typeormTransactions,
} from '@waybill/nestjs';
import type { TransactionHandle } from '@waybill/outbox';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle as drizzleOnPg } from 'drizzle-orm/node-postgres';
import {
  type PgDatabase as DrizzleDatabase,
  type PgQueryResultHKT,
  PgTransaction as DrizzleTransaction,
} from 'drizzle-orm/pg-core';
import { drizzle as drizzleOnPostgresJs } from 'drizzle-orm/postgres-js';
import knexOf from 'knex';
import { Kysely, PostgresDialect, sql as kyselySql, Transaction as KyselyTransaction } from 'kysely';
import pg from 'pg';
import postgres from 'postgres';
import { DataSource, EntityManager as TypeOrmManager } from 'typeorm';
import { PrismaClient } from '../../src/orders/generated/client.js';

/** A database library, connected to one database. `Tx` is its type of a transaction. */
export interface Orm<Tx> {
  /** Runs work in its own transaction, as its users do. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Runs work in a nested transaction. */
  nested(tx: Tx, work: (tx: Tx) => Promise<void>): Promise<void>;
  /** Runs SQL in a transaction. */
  execute(tx: Tx, text: string): Promise<unknown>;
  /** Writes a business row. */
  insert(tx: Tx, n: number): Promise<unknown>;
  /** Builds the same statement; the returned function sends it. */
  prepareInsert(tx: Tx, n: number): () => PromiseLike<unknown>;
  /** Values that are not an open transaction, and what the error calls them. */
  readonly outside: readonly (readonly [handle: unknown, what: RegExp])[];
  /** Whether a handle is of the library's own type. */
  isOwn(handle: unknown): boolean;
  /** Makes runners of handlers' transactions; undefined if the library has none. */
  readonly transactions: TransactionRunnerFactory | undefined;
  close(): Promise<void>;
}

/** An {@link Orm} before it is connected. */
export interface OrmKind {
  readonly name: string;
  /** Whether it reports the end of a transaction. */
  readonly tellsEnd: boolean;
  /** Whether Waybill notices a transaction that was ended in SQL without the library's knowledge. */
  readonly seesEnd: boolean;
  /** @param connections size of its pool */
  connect(url: string, connections: number): Promise<Orm<TransactionHandle>>;
}

/** The types of handles differ; a table of tests does not need them. */
function orm<Tx>(given: Orm<Tx>): Orm<TransactionHandle> {
  return given as unknown as Orm<TransactionHandle>;
}

const insertInto = (n: number): string => `insert into business (n) values (${n})`;

const pgKind: OrmKind = {
  name: 'pg',
  tellsEnd: true,
  seesEnd: true,
  connect: async (url, connections) => {
    const database = new PgDatabase({ connectionString: url, connectionsMax: connections });
    const client = await database.pool.connect();
    client.release();
    return orm<pg.PoolClient>({
      transaction: async (work) => {
        const tx = await database.pool.connect();
        try {
          await tx.query('begin');
          const result = await work(tx);
          await tx.query('commit');
          return result;
        } catch (error) {
          await tx.query('rollback');
          throw error;
        } finally {
          tx.release();
        }
      },
      nested: async (tx, work) => {
        await tx.query('savepoint inner_one');
        try {
          await work(tx);
        } catch (error) {
          await tx.query('rollback to savepoint inner_one');
          throw error;
        }
      },
      execute: (tx, text) => tx.query(text),
      insert: (tx, n) => tx.query(insertInto(n)),
      prepareInsert: (tx, n) => () => tx.query(insertInto(n)),
      outside: [
        [database.pool, /pg pool/],
        [client, /pg client/],
      ],
      isOwn: (handle) => handle instanceof pg.Client,
      transactions: (_, prepared) => new PgTransactionRunner(database, prepared) as TransactionRunner,
      close: () => database.close(),
    });
  },
};

const prismaKind: OrmKind = {
  name: 'Prisma',
  tellsEnd: false,
  seesEnd: false,
  connect: async (url, connections) => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: connections }) });
    type Tx = Parameters<Parameters<typeof prisma.$transaction>[0]>[0];
    return orm<Tx>({
      transaction: (work) => prisma.$transaction(work),
      nested: (tx, work) => (tx as PrismaClient).$transaction((inner) => work(inner)),
      execute: (tx, text) => tx.$executeRawUnsafe(text),
      insert: (tx, n) => tx.$executeRawUnsafe(insertInto(n)),
      prepareInsert: (tx, n) => {
        const query = tx.$executeRawUnsafe(insertInto(n));
        return () => query;
      },
      outside: [[prisma, /Prisma client outside/]],
      isOwn: (handle) => typeof (handle as PrismaClient).$executeRaw === 'function',
      transactions: prismaTransactions(prisma),
      close: () => prisma.$disconnect(),
    });
  },
};

const typeOrmKind: OrmKind = {
  name: 'TypeORM',
  tellsEnd: true,
  seesEnd: true,
  connect: async (url, connections) => {
    const dataSource = await new DataSource({ type: 'postgres', url, poolSize: connections }).initialize();
    const released = dataSource.createQueryRunner();
    await released.startTransaction();
    await released.rollbackTransaction();
    await released.release();
    return orm<TypeOrmManager>({
      transaction: (work) => dataSource.transaction(work),
      nested: (tx, work) => tx.transaction(work),
      execute: (tx, text) => tx.query(text),
      insert: (tx, n) => tx.query('insert into business (n) values ($1)', [n]),
      prepareInsert: (tx, n) => {
        const query = tx.createQueryBuilder().insert().into('business', ['n']).values({ n });
        return () => query.execute();
      },
      outside: [
        [dataSource, /TypeORM data source/],
        [dataSource.manager, /TypeORM entity manager/],
        [dataSource.createQueryRunner(), /TypeORM query runner/],
        [released, /TypeORM query runner/],
      ],
      isOwn: (handle) => handle instanceof TypeOrmManager,
      transactions: typeormTransactions(dataSource),
      close: () => dataSource.destroy(),
    });
  },
};

function onDrizzle<Result extends PgQueryResultHKT>(
  db: DrizzleDatabase<Result>,
  close: () => Promise<void>,
): Orm<TransactionHandle> {
  type Tx = Parameters<Parameters<typeof db.transaction>[0]>[0];
  return orm<Tx>({
    transaction: (work) => db.transaction(work),
    nested: (tx, work) => tx.transaction(work),
    execute: (tx, text) => tx.execute(text),
    insert: (tx, n) => tx.execute(drizzleSql`insert into business (n) values (${n})`),
    prepareInsert: (tx, n) => {
      const query = tx.execute(drizzleSql`insert into business (n) values (${n})`);
      return () => query;
    },
    outside: [[db, /Drizzle database/]],
    isOwn: (handle) => handle instanceof DrizzleTransaction,
    transactions: drizzleTransactions(db),
    close,
  });
}

const drizzleKind: OrmKind = {
  name: 'Drizzle on node-postgres',
  tellsEnd: true,
  seesEnd: true,
  connect: async (url, connections) => {
    const pool = new pg.Pool({ connectionString: url, max: connections });
    return onDrizzle(drizzleOnPg(pool), () => pool.end());
  },
};

const drizzleOnPostgresJsKind: OrmKind = {
  name: 'Drizzle on postgres.js',
  tellsEnd: false,
  seesEnd: false,
  connect: async (url, connections) => {
    const client = postgres(url, { max: connections, onnotice: () => undefined });
    return onDrizzle(drizzleOnPostgresJs(client), () => client.end());
  },
};

const postgresJsKind: OrmKind = {
  name: 'postgres.js',
  tellsEnd: false,
  seesEnd: false,
  connect: async (url, connections) => {
    const client = postgres(url, { max: connections, onnotice: () => undefined });
    return orm<postgres.TransactionSql>({
      transaction: (work) => client.begin(work) as Promise<never>,
      nested: (tx, work) => tx.savepoint(work),
      execute: (tx, text) => tx.unsafe(text),
      insert: (tx, n) => tx`insert into business (n) values (${n})`,
      prepareInsert: (tx, n) => {
        const query = tx`insert into business (n) values (${n})`;
        return () => query;
      },
      outside: [[client, /postgres\.js itself/]],
      isOwn: (handle) => typeof handle === 'function',
      transactions: undefined,
      close: () => client.end(),
    });
  },
};

const kyselyKind: OrmKind = {
  name: 'Kysely',
  tellsEnd: true,
  seesEnd: true,
  connect: async (url, connections) => {
    const pool = new pg.Pool({ connectionString: url, max: connections });
    const db = new Kysely<{ business: { n: number } }>({ dialect: new PostgresDialect({ pool }) });
    type Tx = KyselyTransaction<{ business: { n: number } }>;
    return orm<Tx>({
      transaction: (work) => db.transaction().execute(work),
      // Kysely has savepoints in controlled transactions only; here they are set in SQL.
      nested: async (tx, work) => {
        await kyselySql`savepoint inner_one`.execute(tx);
        try {
          await work(tx);
        } catch (error) {
          await kyselySql`rollback to savepoint inner_one`.execute(tx);
          throw error;
        }
      },
      execute: (tx, text) => kyselySql.raw(text).execute(tx),
      insert: (tx, n) => tx.insertInto('business').values({ n }).execute(),
      prepareInsert: (tx, n) => {
        const query = tx.insertInto('business').values({ n });
        return () => query.execute();
      },
      outside: [[db, /Kysely itself/]],
      isOwn: (handle) => handle instanceof KyselyTransaction,
      transactions: kyselyTransactions(db),
      close: () => db.destroy(),
    });
  },
};

const knexKind: OrmKind = {
  name: 'Knex',
  tellsEnd: true,
  seesEnd: true,
  connect: async (url, connections) => {
    const knex = knexOf({ client: 'pg', connection: url, pool: { min: 0, max: connections } });
    const ended = await knex.transaction();
    await ended.rollback();
    return orm<knexOf.Knex.Transaction>({
      transaction: (work) => knex.transaction(work),
      nested: (tx, work) => tx.transaction(work),
      execute: (tx, text) => tx.raw(text),
      insert: (tx, n) => tx('business').insert({ n }),
      prepareInsert: (tx, n) => {
        const query = tx('business').insert({ n });
        return () => query;
      },
      outside: [
        [knex, /Knex itself/],
        [ended, /Knex transaction that has ended/],
      ],
      isOwn: (handle) => (handle as knexOf.Knex).isTransaction === true,
      transactions: knexTransactions(knex),
      close: () => knex.destroy(),
    });
  },
};

class Business {
  n!: number;
}

const businessSchema = new EntitySchema({
  class: Business,
  tableName: 'business',
  properties: { n: { type: 'integer', primary: true, autoincrement: false } },
});

const mikroOrmKind: OrmKind = {
  name: 'MikroORM',
  tellsEnd: true,
  seesEnd: true,
  connect: async (url, connections) => {
    const mikro = await MikroORM.init({
      driver: PostgreSqlDriver,
      clientUrl: url,
      entities: [businessSchema],
      pool: { min: 0, max: connections },
      forceUndefined: true,
    });
    return orm<MikroEntityManager>({
      transaction: (work) => mikro.em.fork().transactional(work),
      nested: (tx, work) => tx.transactional(work),
      execute: (tx, text) => tx.execute(text),
      // Written when the unit of work is flushed, not now.
      insert: async (tx, n) => tx.persist(tx.create(Business, { n })),
      prepareInsert: (tx, n) => () => tx.insert(Business, { n }),
      outside: [
        [mikro, /MikroORM itself/],
        [mikro.em, /MikroORM entity manager/],
        [mikro.em.fork(), /MikroORM entity manager/],
      ],
      isOwn: (handle) => handle instanceof MikroEntityManager,
      transactions: mikroOrmTransactions(mikro),
      close: () => mikro.close(),
    });
  },
};

/** All that Waybill knows. */
export const ORMS: readonly OrmKind[] = [
  pgKind,
  prismaKind,
  typeOrmKind,
  drizzleKind,
  drizzleOnPostgresJsKind,
  postgresJsKind,
  kyselyKind,
  knexKind,
  mikroOrmKind,
];
