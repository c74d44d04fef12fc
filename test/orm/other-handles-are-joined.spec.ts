import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MikroORM, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { mikroOrmTransactions } from '@waybill/nestjs';
import { Outbox, type TransactionHandle } from '@waybill/outbox';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import knexOf from 'knex';
import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { Fixture, numbersOf } from '../support/fixture.js';

const refused = expect.objectContaining({ code: 'TRANSACTION_REQUIRED' });

describe('a message is published', () => {
  let fixture: Fixture;
  let pool: pg.Pool;
  beforeAll(async () => {
    fixture = await Fixture.create();
    pool = new pg.Pool({ connectionString: fixture.url, max: 3 });
  });
  afterAll(async () => {
    await pool.end();
    await fixture.close();
  });

  const publish = (tx: TransactionHandle, n: number) =>
    fixture.outbox.publish(tx, { topic: 'orders', key: 'k', payload: { n } });
  const published = async (...numbers: number[]): Promise<number[]> => {
    await fixture.moveAll();
    return numbersOf(await fixture.log()).filter((n) => numbers.includes(n));
  };

  test("with TypeORM's query runner, after startTransaction and before its end", async () => {
    const dataSource = await new DataSource({ type: 'postgres', url: fixture.url }).initialize();
    const runner = dataSource.createQueryRunner();
    await runner.connect();
    await expect(publish(runner, 1)).rejects.toEqual(refused);
    await runner.startTransaction();
    await publish(runner, 2);
    await publish(runner.manager, 3);
    await runner.commitTransaction();
    await expect(publish(runner, 4)).rejects.toEqual(refused);
    await runner.startTransaction();
    await publish(runner, 5);
    await runner.rollbackTransaction();
    await runner.startTransaction();
    // Ended without TypeORM's knowledge, which still considers it open.
    await runner.query('rollback');
    await expect(publish(runner, 6)).rejects.toEqual(refused);
    await runner.release();
    await expect(publish(runner, 7)).rejects.toEqual(refused);
    await dataSource.destroy();
    expect(await published(1, 2, 3, 4, 5, 6, 7)).toEqual([2, 3]);
  });

  test("with Kysely's controlled transaction and its savepoints, with any plugins", async () => {
    const db = new Kysely<Record<never, never>>({
      dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: fixture.url }) }),
      plugins: [new CamelCasePlugin()],
    });
    const trx = await db.startTransaction().execute();
    await publish(trx, 11);
    const inner = await trx.savepoint('inner_one').execute();
    await publish(inner, 12);
    await inner.rollbackToSavepoint('inner_one').execute();
    await publish(trx, 13);
    await trx.commit().execute();
    await expect(publish(trx, 14)).rejects.toEqual(refused);
    const queries: string[] = [];
    const logged = new Kysely<Record<never, never>>({
      dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: fixture.url }) }),
      log: ({ query }) => void queries.push(`${query.sql}`),
    });
    await logged.transaction().execute((tx) => publish(tx, 15));
    expect(queries).toContainEqual(expect.stringContaining('outbox'));
    await db.destroy();
    await logged.destroy();
    expect(await published(11, 12, 13, 14, 15)).toEqual([11, 13, 15]);
  });

  test("with Knex's transaction that is ended by hand", async () => {
    const knex = knexOf({ client: 'pg', connection: fixture.url });
    const trx = await knex.transaction();
    await publish(trx, 21);
    const nested = await trx.transaction();
    await publish(nested, 22);
    await nested.rollback();
    await expect(publish(nested, 23)).rejects.toEqual(refused);
    await trx.commit();
    await expect(publish(trx, 24)).rejects.toEqual(refused);
    await knex.destroy();
    expect(await published(21, 22, 23, 24)).toEqual([21]);
  });

  test("with Drizzle on a single client, and with its transaction's end seen", async () => {
    const client = await pool.connect();
    const db = drizzle(client);
    const kept: { tx?: TransactionHandle } = {};
    await db.transaction(async (tx) => {
      await publish(tx, 31);
      kept.tx = tx;
    });
    await expect(publish(kept.tx as TransactionHandle, 32)).rejects.toEqual(refused);
    await db.transaction(async (tx) => {
      // The same client, now in another caller's transaction.
      await expect(publish(kept.tx as TransactionHandle, 33)).rejects.toEqual(refused);
      await publish(tx, 34);
      await tx.execute(drizzleSql`select 1`);
    });
    client.release();
    expect(await published(31, 32, 33, 34)).toEqual([31, 34]);
  });

  test('with an entity manager of MikroORM after begin; an injected one joins its handler automatically', async () => {
    const orm = await MikroORM.init({
      driver: PostgreSqlDriver,
      clientUrl: fixture.url,
      entities: [],
      discovery: { warnWhenNoEntities: false },
    });
    const em = orm.em.fork();
    await em.begin();
    await publish(em, 41);
    await em.commit();
    await expect(publish(em, 42)).rejects.toEqual(refused);
    const ambient = new Outbox({ ambient: () => (orm.em.isInTransaction() ? orm.em : undefined) });
    await expect(ambient.publish({ topic: 'orders', payload: { n: 43 } })).rejects.toEqual(refused);
    const runner = mikroOrmTransactions(orm)('waybill', true);
    await runner.run({
      timeoutMs: 60_000,
      work: async ({ handle }) => {
        expect(orm.em.getTransactionContext()).toBe((handle as typeof em).getTransactionContext());
        await ambient.publish({ topic: 'orders', payload: { n: 44 } });
      },
    });
    await orm.close();
    expect(await published(41, 42, 43, 44)).toEqual([41, 44]);
  });
});
