import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  NonRetryableError,
  SagaRejectedError,
  Waybill,
  WaybillClient,
  type WaybillContext,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillRecord,
  WaybillServer,
} from '@waybill/nestjs';
import { silentLogger } from '@waybill/kernel';
import { testServerUrl, waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { lastValueFrom, of } from 'rxjs';
import { Fixture } from '../support/fixture.js';
import { busServerUrl } from '../support/places.js';

@Controller()
class Sums {
  @MessagePattern<string>('sum')
  async sum(@Payload() numbers: number[], @Ctx() ctx: WaybillContext<pg.PoolClient>) {
    if (numbers.length === 0) throw new SagaRejectedError('there is nothing to add');
    if (numbers.includes(13)) throw new NonRetryableError('unlucky');
    await ctx.transaction.query('insert into effect (consumer, n, key) values ($1, $2, $3)', [
      'sum',
      numbers.length,
      ctx.key,
    ]);
    return of(
      numbers.reduce((total, number) => total + number),
      { total: numbers.reduce((total, number) => total + number), by: ctx.headers['who'] ?? null },
    );
  }
}

@Controller()
class Relaying {
  static fail = false;
  constructor(private readonly client: WaybillClient) {}

  @EventPattern<string>('first')
  async first(@Payload() n: number, @Ctx() ctx: WaybillContext<pg.PoolClient>): Promise<void> {
    await lastValueFrom(this.client.emit('second', new WaybillRecord(n + 1, { key: `k${n}` })));
    if (Relaying.fail && ctx.attempt === 1) throw new Error('after the emit');
  }

  @EventPattern<string>('second')
  async second(@Payload() n: number, @Ctx() ctx: WaybillContext<pg.PoolClient>): Promise<void> {
    await ctx.transaction.query('insert into effect (consumer, n, key) values ($1, $2, $3)', [
      'second',
      n,
      ctx.key,
    ]);
  }
}

let fixture: Fixture;
const apps: INestMicroservice[] = [];
beforeEach(async () => {
  Relaying.fail = false;
  fixture = await Fixture.create({ sum: {}, first: {}, second: {} });
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await fixture.close();
});

const start = async (
  group: string,
  controllers: Type[],
  options: Partial<WaybillModuleOptions> = {},
): Promise<INestMicroservice> => {
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        ...fixture.moduleOptions,
        group,
        // A reply that never comes fails its test by the time-out; one that a busy machine delays does not.
        client: { timeoutMs: 120_000 },
        ...options,
      }),
    ],
    controllers,
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  apps.push(app);
  await app.listen();
  return app;
};

const ask = (app: INestMicroservice, data: unknown): Promise<unknown> =>
  lastValueFrom(app.get(WaybillClient).send('sum', data));

test('a request is handled once, in a transaction, and every process gets its own replies', async () => {
  await start('sums', [Sums]);
  const [one, two] = [await start('askers', []), await start('askers', [])];
  const answers = await Promise.all([
    ask(one, [1, 2]),
    ask(two, new WaybillRecord([3, 4], { key: 'k', headers: { who: 'two' } })),
    ask(one, [5, 6, 7]),
  ]);
  // `lastValueFrom` takes the last value of a stream.
  expect(answers).toEqual([
    { total: 3, by: null },
    { total: 7, by: 'two' },
    { total: 18, by: null },
  ]);
  const { rows } = await fixture.database.pool.query('select n, key from effect order by n, key');
  expect(rows).toEqual([
    { n: 2, key: 'k' },
    { n: 2, key: null },
    { n: 3, key: null },
  ]);
});

test('a request that its requester has given up is dropped, also where the bus is elsewhere', async () => {
  await fixture.close();
  fixture = await Fixture.create({ sum: {} }, { busServer: busServerUrl() ?? testServerUrl() });
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };
  const app = await start('askers', [], { client: { timeoutMs: 300 } });
  const isPublished = "select exists (select from waybill.outbox where topic = 'sum')";
  await waitUntil(
    async () => {
      // The first one is not published if it has timed out before its process listens for replies.
      await expect(ask(app, [1])).rejects.toMatchObject({ code: 'REQUEST_TIMED_OUT' });
      return fixture.value<boolean>(isPublished);
    },
    { describe: 'a request is published' },
  );
  await start('sums', [Sums], { logger });
  const about = (): string[] => lines.filter((line) => line.includes('sum['));
  await waitUntil(() => about().length > 0, { describe: 'the request is looked at' });
  expect(about()[0]).toMatch(/^sum\[\d\]@0 was dropped: its requester gave up/);
});

test('a rejection, a dead letter and a time-out are three different errors', async () => {
  const app = await start('askers', [], { client: { timeoutMs: 300 } });
  await expect(ask(app, [1])).rejects.toMatchObject({ code: 'REQUEST_TIMED_OUT', topic: 'sum' });
  await start('sums', [Sums]);
  const patient = await start('patient', []);
  await expect(lastValueFrom(patient.get(WaybillClient).send('unknown', 1))).rejects.toMatchObject({
    code: 'TOPIC_UNKNOWN',
  });
  await expect(ask(patient, [])).rejects.toMatchObject({
    code: 'REQUEST_FAILED',
    status: 'rejected',
    reason: 'there is nothing to add',
  });
  await expect(ask(patient, [13])).rejects.toMatchObject({
    code: 'REQUEST_FAILED',
    status: 'failed',
    remote: { name: 'NonRetryableError', code: 'HANDLER_NOT_RETRYABLE' },
  });
});

test('emit joins the transaction that it is called in, and is refused outside one', async () => {
  Relaying.fail = true;
  const app = await start('relaying', [Relaying]);
  const client = app.get(WaybillClient);
  await expect(lastValueFrom(client.emit('first', 1))).rejects.toMatchObject({
    code: 'TRANSACTION_REQUIRED',
  });
  await app.get(Waybill).transaction(() => lastValueFrom(client.emit('first', 1)));
  const lost = app.get(Waybill).transaction(async () => {
    await lastValueFrom(client.emit('first', 50));
    throw new Error('changed my mind');
  });
  await expect(lost).rejects.toThrow('changed my mind');
  await waitUntil(async () => (await fixture.value('select count(*)::int from effect')) > 0, {
    describe: 'the second event has its effect',
  });
  const { rows } = await fixture.database.pool.query('select n, key from effect');
  // Its first attempt was rolled back after the emit, and so was what it had emitted.
  expect(rows).toEqual([{ n: 2, key: 'k1' }]);
});
