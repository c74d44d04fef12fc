import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { createProgram } from '@waybill/cli';
import { Waybill, WaybillClient, type WaybillContext } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { lastValueFrom } from 'rxjs';
import { describeWithPooler, type Pooler, startPooler } from '../support/pooler.js';
import { Applications } from './application.js';

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

  const start = (preparedStatements: boolean): Promise<INestMicroservice> =>
    apps.start('shop', [Orders], {
      database: { connectionString: pooler.url },
      outbox: { preparedStatements },
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
