import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { createProgram } from '@waybill/cli';
import { PgDatabase } from '@waybill/kernel';
import { Waybill, WaybillClient, type WaybillContext } from '@waybill/nestjs';
import { BUS_MIGRATIONS, migrate, SERVICE_MIGRATIONS } from '@waybill/schema';
import { testDatabase, waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { lastValueFrom } from 'rxjs';
import { upTo } from '../support/fixture.js';
import { describeWithPooler, type Pooler, startPooler } from '../support/pooler.js';
import { type ApplicationOptions, Applications } from './application.js';

const ORDERS = 300;

@Controller()
class Orders {
  @EventPattern<string>('orders')
  async place(@Payload() { n }: { n: number }, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    await context.transaction.query(`insert into effect (consumer, key, n) values ('orders', $1, $2)`, [
      context.key,
      n,
    ]);
  }

  @MessagePattern<string>('sum')
  sum(@Payload() numbers: number[]): number {
    return numbers.reduce((total, number) => total + number, 0);
  }
}

@Controller()
class Busy {
  @EventPattern<string>('busy')
  async handle(@Payload() { n }: { n: number }, @Ctx() { transaction }: WaybillContext<pg.PoolClient>) {
    await transaction.query(`insert into effect (consumer, n) values ('busy', $1)`, [n]);
  }
}

const REFUSED = /set outbox.preparedStatements to false/;

describeWithPooler('with a pooler in transaction mode', () => {
  let apps: Applications;
  let pooler: Pooler;
  beforeEach(async () => {
    apps = await Applications.create('orders', 'sum');
    pooler = await startPooler(apps.fixture.url);
  });
  afterEach(async () => {
    await apps.close();
    await pooler.stop();
  });

  const start = (
    preparedStatements: boolean,
    controllers: Type[] = [Orders],
    options: ApplicationOptions = {},
  ): Promise<INestMicroservice> =>
    apps.start('shop', controllers, {
      database: { connectionString: pooler.url },
      outbox: { preparedStatements },
      ...options,
    });
  const place = (app: INestMicroservice, n: number): Promise<void> =>
    app.get(Waybill).transaction(async (_tx, outbox) => {
      outbox.publish({ topic: 'orders', key: `key-${n % 10}`, payload: { n } });
    });

  test('messages take effect once and in order, and requests get their replies, while processes start and stop', async () => {
    const first = await start(false);
    const second = await start(false);
    const client = first.get(WaybillClient);
    const placed = (async () => {
      for (let n = 0; n < ORDERS; n += 1) await place(first, n);
    })();
    for (let n = 0; n < 10; n += 1) expect(await lastValueFrom(client.send('sum', [n, 1]))).toBe(n + 1);
    await second.close();
    await placed;
    await waitUntil(async () => (await apps.effects('orders')) >= ORDERS, {
      describe: 'every order has its effect',
      timeoutMs: 30_000,
    });
    const { rows } = await apps.fixture.database.pool.query<{ key: string; n: number }>(
      'select key, n from effect order by id',
    );
    expect(rows.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: ORDERS }, (_, n) => n),
    );
    const newest = new Map<string, number>();
    for (const { key, n } of rows) {
      expect(n).toBeGreaterThan(newest.get(key) ?? -1);
      newest.set(key, n);
    }
  });

  test('prepared statements are refused with advice, and no work is left half done', async () => {
    const app = await start(true);
    const outcomes = await Promise.allSettled(Array.from({ length: ORDERS }, (_, n) => place(app, n)));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused)
      expect(reason).toMatchObject({
        code: 'CONFIGURATION_INVALID',
        message: expect.stringContaining('set outbox.preparedStatements to false'),
      });
    const written = await apps.fixture.value<number>('select count(*)::int from waybill.outbox');
    expect(written).toBe(ORDERS - refused.length);
  });

  test('messages whose deliveries are refused because of prepared statements wait for the setting, and none is set aside', async () => {
    await apps.fixture.topics.create('busy', { partitions: 8 });
    const lines: string[] = [];
    const logger = { debug() {}, info() {}, warn: (line: string) => void lines.push(line), error() {} };
    const wrong = await start(true, [Busy], { logger, handlers: { retry: { maxAttempts: 1 } } });
    await Promise.all(upTo(ORDERS).map((n) => apps.fixture.publish(n, `key-${n}`, 'busy')));
    await waitUntil(() => lines.filter((line) => REFUSED.test(line)).length >= 20, {
      describe: 'several deliveries have been refused',
    });
    await wrong.close();
    const aside = `select (select count(*) from waybill.dead_letter) + (select count(*) from waybill.parked_message)`;
    expect(Number(await apps.fixture.value(aside))).toBe(0);
    await start(false, [Busy]);
    await waitUntil(async () => (await apps.effects('busy')) >= ORDERS, {
      describe: 'every message has its effect',
      timeoutMs: 30_000,
    });
    const { rows } = await apps.fixture.database.pool.query<{ n: number }>('select n from effect order by n');
    expect(rows.map(({ n }) => n)).toEqual(upTo(ORDERS));
  });

  test('migrators take turns through it, and leave nothing in the sessions of others', async () => {
    const empty = await testDatabase('migrations');
    const url = new URL(pooler.url);
    url.pathname = new URL(empty.connectionString).pathname;
    const direct = new PgDatabase(empty);
    const others = new PgDatabase({ connectionString: url.href, connectionsMax: 8 });
    try {
      const migrated = await Promise.all([1, 2, 3, 4].map(() => migrate({ connectionString: url.href })));
      const chain = [
        ...SERVICE_MIGRATIONS.map(({ name }) => `service/${name}`),
        ...BUS_MIGRATIONS.map(({ name }) => `bus/${name}`),
      ];
      expect(migrated.flat().toSorted()).toEqual(chain.toSorted());
      const { rows: locks } = await direct.pool.query(
        `select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
      );
      expect(locks).toHaveLength(0);
      // All the sessions of the pool at the same time.
      const settings = await Promise.all(
        upTo(8).map(async () =>
          others.transaction(async ({ client }) => {
            await client.query('select pg_sleep(0.2)');
            return client.query<{ value: string }>(`select current_setting('lock_timeout') as value`);
          }),
        ),
      );
      expect(settings.map(({ rows }) => rows[0]?.value)).toEqual(upTo(8).map(() => '0'));
    } finally {
      await Promise.all([direct.close(), others.close()]);
      await empty.drop();
    }
  });

  test('waybill doctor reports it', async () => {
    const lines: string[] = [];
    const before = process.exitCode;
    const program = createProgram({ write: (text) => lines.push(text) });
    await program.parseAsync(['--database-url', pooler.url, 'doctor'], { from: 'user' });
    const code = process.exitCode;
    process.exitCode = before;
    expect(lines.join('')).toMatch(/problem\s+pooler.*loses prepared statements.*preparedStatements: false/);
    expect(code).toBe(1);
  });
});
