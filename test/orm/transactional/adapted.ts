import { TransactionalAdapterDrizzleOrm } from '@nestjs-cls/transactional-adapter-drizzle-orm';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { drizzleTransactions, type TransactionRunnerFactory, typeormTransactions } from '@waybill/nestjs';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import { DataSource, type EntityManager } from 'typeorm';

type DrizzleDb = ReturnType<typeof drizzle>;

/** What the adapters of `@nestjs-cls/transactional` take as the connection's token. */
export const CONNECTION = Symbol('connection');

/** An ORM with an adapter of `@nestjs-cls/transactional`. */
export interface Adapted {
  connect(url: string): Promise<unknown>;
  adapter(): TransactionalAdapterTypeOrm | TransactionalAdapterDrizzleOrm<DrizzleDb>;
  transactions(connection: unknown): TransactionRunnerFactory;
  /** One value from SQL, in the host's current transaction. */
  value(tx: unknown, text: string): Promise<unknown>;
}

/** The ORMs, by name. */
export const ADAPTED: Readonly<Record<'typeorm' | 'drizzle', Adapted>> = {
  typeorm: {
    connect: (url) => new DataSource({ type: 'postgres', url }).initialize(),
    adapter: () => new TransactionalAdapterTypeOrm({ dataSourceToken: CONNECTION }),
    transactions: (connection) => typeormTransactions(connection as DataSource),
    value: async (tx, text) => {
      const [row] = await (tx as EntityManager).query<Record<string, unknown>[]>(text);
      return Object.values(row ?? {})[0];
    },
  },
  drizzle: {
    connect: (url) => Promise.resolve(drizzle(new pg.Pool({ connectionString: url }))),
    adapter: () => new TransactionalAdapterDrizzleOrm<DrizzleDb>({ drizzleInstanceToken: CONNECTION }),
    transactions: (connection) => drizzleTransactions(connection as DrizzleDb),
    value: async (tx, text) => {
      const { rows } = await (tx as DrizzleDb).execute(sql.raw(text));
      return Object.values(rows[0] ?? {})[0];
    },
  },
};
