import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { INestMicroservice, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { WaybillServer } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { Pool } from 'pg';
import type { DataSource } from 'typeorm';
import type { PrismaClient } from '../../src/inventory/generated/client.js';

let database: TestDatabase;
let pool: Pool;
const before = process.env['DATABASE_URL'];
beforeAll(async () => {
  database = await testDatabase('orms');
  pool = new Pool({ connectionString: database.connectionString });
  await pool.query('create table stock (sku text primary key, starting_level int, level int not null)');
  await migrate({ connectionString: database.connectionString });
  // The examples read it when they are loaded.
  process.env['DATABASE_URL'] = database.connectionString;
});
afterEach(() => pool.query('truncate stock'));
afterAll(async () => {
  if (before === undefined) delete process.env['DATABASE_URL'];
  else process.env['DATABASE_URL'] = before;
  await pool.end();
  await database.drop();
});

async function start(module: Type): Promise<INestMicroservice> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(module, {
    inject: [WaybillServer],
    useFactory: (strategy: WaybillServer) => ({ strategy }),
    logger: false,
    abortOnError: false,
  } as never);
  await app.listen();
  return app;
}

async function holds(app: INestMicroservice, articles: { add(sku: string): Promise<void> }): Promise<void> {
  const level = async (sku: string): Promise<number | undefined> =>
    (await pool.query<{ level: number }>('select level from stock where sku = $1', [sku])).rows[0]?.level;
  await articles.add('lantern');
  await expect(articles.add('lantern')).rejects.toThrow();
  await waitUntil(async () => (await level('lantern')) === 10, { describe: 'the stock is filled' });
  await articles.add('rope');
  await waitUntil(async () => (await level('rope')) === 10, { describe: 'the second is filled, too' });
  expect(await level('lantern')).toBe(10);
  await app.close();
}

test('TypeORM: the article and its message together, the handler through its own manager', async () => {
  const { AppModule, Articles } = await import('../../examples/orms/typeorm.js');
  const { DataSource: Token } = await import('typeorm');
  const app = await start(AppModule);
  await holds(app, app.get(Articles));
  await app.get<DataSource>(Token).destroy();
});

test('Drizzle: the same', async () => {
  const { AppModule, Articles } = await import('../../examples/orms/drizzle.js');
  const app = await start(AppModule);
  const own = app.get(Pool, { strict: false });
  await holds(app, app.get(Articles));
  await own.end();
});

test('Prisma: the same', async () => {
  const { AppModule, Articles } = await import('../../examples/orms/prisma.js');
  const { PrismaClient: Token } = await import('../../src/inventory/generated/client.js');
  const app = await start(AppModule);
  const own = app.get<PrismaClient>(Token, { strict: false });
  await holds(app, app.get(Articles));
  await own.$disconnect();
});
