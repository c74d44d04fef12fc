import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import 'reflect-metadata';
import { Controller } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { createProgram } from '@waybill/cli';
import { type Consumer, deadLetter, type Handler, resolveSubscription } from '@waybill/consumer';
import { PgDatabase } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { WaybillClient, WaybillModule, WaybillRecord, WaybillServer } from '@waybill/nestjs';
import { type PostgresServer, startPostgres, waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { lastValueFrom } from 'rxjs';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';
import { consumerOf, runnerOn } from '../support/places.js';

let bus: TestBus;
let service: OwnService;
let other: OwnService;
let consumer: Consumer | undefined;

async function setUp(server?: PostgresServer): Promise<void> {
  bus = await TestBus.create({ orders: { partitions: 1 } }, server?.connectionString);
  service = await OwnService.create(bus);
  other = await OwnService.create(bus);
  await service.database.pool.query(
    'create table effect (id bigint generated always as identity, n int, log_offset bigint)',
  );
}
async function tearDown(): Promise<void> {
  await consumer?.stop();
  consumer = undefined;
  await Promise.all([service.close(), other.close()]);
  await bus.close();
}

/** Each number in a pass, and so in a batch, of its own. */
async function publish(numbers: readonly number[], by = service): Promise<void> {
  const relay = by.relay();
  for (const n of numbers) {
    await by.publish([n], 'orders', `key-${n}`);
    await drain(relay);
  }
}

/** Takes the end of the log away, as a replica that was behind lacks it. */
async function loseFrom(offset: number): Promise<void> {
  await bus.database.pool.query(`delete from waybill_bus.log_batch where base_offset >= ${offset}`);
  await bus.database.pool.query(
    `delete from waybill_bus.log_source where exists (select from unnest(base_offsets) o where o >= ${offset})`,
  );
}

async function heal(): Promise<void> {
  const program = createProgram({ write: () => true });
  const words = ['--database-url', bus.created.connectionString, 'bus', 'heal', '--yes'];
  await program.parseAsync(words, { from: 'user' });
}

const handled: number[] = [];
const write: Handler = async ({ transaction, payload, offset }) => {
  const { n } = payload as { n: number };
  handled.push(n);
  await (transaction as pg.PoolClient).query('insert into effect (n, log_offset) values ($1, $2)', [
    n,
    offset,
  ]);
};

async function consume(
  handler: Handler = write,
  concurrency: 'key' | 'partition' = 'partition',
  log: LogEngine = service.log,
  topic = 'orders',
  startFrom: 'earliest' | 'latest' = 'earliest',
): Promise<Consumer> {
  handled.length = 0;
  consumer = consumerOf(
    {
      group: 'shop',
      subscriptions: [resolveSubscription(topic, handler, { concurrency, retry: { maxAttempts: 1 } })],
      database: service.database,
      transactions: runnerOn(service.database),
      log,
    },
    { leaseMs: 3_000, heartbeatMs: 200, pollMaxMs: 100, startFrom },
  );
  await consumer.start();
  return consumer;
}

/** In order of their effects. */
async function effects(): Promise<number[]> {
  const { rows } = await service.database.pool.query<{ n: number }>('select n from effect order by id');
  return rows.map(({ n }) => n);
}

async function haveEffect(...numbers: number[]): Promise<void> {
  let seen: number[] = [];
  await waitUntil(async () => (seen = await effects()).length >= numbers.length, {
    describe: () => `${numbers.join()} have their effects, not ${seen.join()}`,
  });
  expect(await effects()).toEqual(numbers);
}

/** Waits until the group has stored a position: between two deliveries that is done every second. */
async function positionIs(position: number): Promise<void> {
  const newest = 'select max(position)::int from waybill.consumer_position';
  await waitUntil(async () => (await service.value(newest)) === position, {
    describe: `position ${position} is stored`,
  });
}

async function failsBecause(reason: RegExp): Promise<void> {
  await waitUntil(() => consumer?.status.failures.length === 1, { describe: 'the partition fails' });
  expect(consumer?.status.failures[0]?.reason).toMatch(reason);
}

/** Both services append again what the log lacks. */
async function appendAgain(count: number): Promise<void> {
  const relays = [service.relay(), other.relay()];
  await waitUntil(
    async () => {
      for (const relay of relays) await drain(relay);
      return (await bus.read()).numbers.length === count;
    },
    { describe: `the log holds ${count} records` },
  );
}

describe('a group whose log lost a tail', () => {
  beforeEach(() => setUp());
  afterEach(tearDown);

  test('stops where the log ends before its position, and goes on from the cut when it is healed', async () => {
    await publish(upTo(5));
    await consume();
    await haveEffect(0, 1, 2, 3, 4);
    await consumer?.stop();
    await loseFrom(3);
    await consume();
    await failsBecause(/^LogWentBackError.*group shop has read up to offset 5, and the log ends at 3/);
    await heal();
    await appendAgain(5);
    await publish([5]);
    await haveEffect(0, 1, 2, 3, 4, 3, 4, 5);
    expect(consumer?.status.failures).toEqual([]);
  });

  test('stops where the log holds other records below its position', async () => {
    await publish(upTo(5));
    await consume();
    await haveEffect(0, 1, 2, 3, 4);
    await consumer?.stop();
    await loseFrom(3);
    // Of a service that misses nothing: it appends as if nothing had happened.
    await publish([100, 101, 102], other);
    await consume();
    await failsBecause(/^LogWentBackError.*another record than group shop has read at offset 4/);
    expect(handled).toEqual([]);
    await heal();
    await appendAgain(8);
    // What was appended before the heal is below the cut: the group goes back to where the records differ.
    await haveEffect(0, 1, 2, 3, 4, 100, 101, 102, 3, 4);
  });

  test('takes over a position that is before the cut as it is', async () => {
    await publish(upTo(3));
    await consume();
    await haveEffect(0, 1, 2);
    await consumer?.stop();
    await publish([3, 4]);
    await loseFrom(4);
    await heal();
    await appendAgain(5);
    await consume();
    await haveEffect(0, 1, 2, 3, 4);
    const { rows } = await service.database.pool.query(
      'select max(log_epoch)::int as epoch from waybill.consumer_position',
    );
    expect(rows).toEqual([{ epoch: 2 }]);
  });

  test('goes on from the cut if it has read nothing by which histories are told apart', async () => {
    await publish(upTo(5));
    await consume(write, 'partition', service.log, 'orders', 'latest');
    await positionIs(5);
    await consumer?.stop();
    await loseFrom(3);
    await heal();
    await publish([100, 101], other);
    await appendAgain(7);
    await consume(write, 'partition', service.log, 'orders', 'latest');
    await haveEffect(100, 101, 3, 4);
  });

  test('keeps no verdict on offsets above its position, which may be those of other records', async () => {
    await publish(upTo(2));
    const held = new AbortController();
    const handler: Handler = async (delivery) => {
      const { n } = delivery.payload as { n: number };
      if (n === 2 && !held.signal.aborted)
        await new Promise((_, reject) =>
          held.signal.addEventListener('abort', () => reject(new Error('not yet'))),
        );
      await write(delivery);
    };
    await consume(handler, 'key');
    await positionIs(2);
    await publish([2, 3, 4]);
    const haveEffects = (count: number): Promise<void> =>
      waitUntil(async () => (await effects()).length === count, { describe: `${count} effects` });
    await haveEffects(4);
    expect((await effects()).toSorted((a, b) => a - b)).toEqual([0, 1, 3, 4]);
    const position = (): Promise<number> =>
      service.value('select max(position)::int from waybill.consumer_position');
    await waitUntil(async () => (await position()) === 2, { describe: 'the position is stored' });
    // As if its process had ended.
    const stopped = consumer?.stop();
    await service.database.pool.query('update waybill.progress_owner set owner_epoch = owner_epoch + 1');
    held.abort();
    await stopped;
    expect(await position()).toBe(2);
    await loseFrom(3);
    await publish([100, 101], other);
    await heal();
    await appendAgain(7);
    await consume(handler, 'key');
    await haveEffects(9);
    expect((await effects()).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 3, 4, 4, 100, 101]);
  });

  test('keeps its dead letters, which are redriven, and forgets the verdicts on records that come again', async () => {
    const broken = new Set([1, 3]);
    const handler: Handler = async (delivery) => {
      if (broken.has((delivery.payload as { n: number }).n)) throw deadLetter('not usable');
      await write(delivery);
    };
    await publish(upTo(2));
    await consume(handler, 'key');
    // Where the log is cut below, the group has noted what it read.
    await positionIs(2);
    await publish([2, 3, 4]);
    const letters = async (): Promise<unknown[]> =>
      (
        await service.database.pool.query(
          `select payload, log_offset < 0 as "isOld", state from waybill.dead_letter order by id`,
        )
      ).rows.map((row: { payload: Buffer; isOld: boolean; state: string }) => ({
        ...row,
        payload: (JSON.parse(row.payload.toString()) as { n: number }).n,
      }));
    await waitUntil(async () => (await effects()).length + (await letters()).length === 5, {
      describe: 'all are decided',
    });
    await consumer?.stop();
    await loseFrom(2);
    await heal();
    await appendAgain(5);
    broken.delete(3);
    await consume(handler, 'key');
    await waitUntil(async () => (await effects()).length === 6, {
      describe: 'those from the cut on come again',
    });
    expect((await effects()).toSorted((a, b) => a - b)).toEqual([0, 2, 2, 3, 4, 4]);
    expect(await letters()).toEqual([
      { payload: 1, isOld: false, state: 'open' },
      { payload: 3, isOld: true, state: 'open' },
    ]);
    const program = createProgram({ write: () => true });
    const urls = [
      '--database-url',
      service.created.connectionString,
      '--bus-url',
      bus.created.connectionString,
    ];
    await program.parseAsync([...urls, 'dlq', 'redrive', '2', '--yes'], { from: 'user' });
    await waitUntil(async () => (await effects()).length === 7, { describe: 'the old one has its effect' });
    expect((await letters()).at(1)).toEqual({ payload: 3, isOld: true, state: 'redriven' });
  });
});

describe('a log that lost a whole topic', () => {
  beforeEach(() => setUp());
  afterEach(tearDown);

  /** As a backup from before it was created. */
  async function loseTopic(name: string): Promise<void> {
    const { partitionIds } = await bus.log.topics.get(name);
    const ids = `array[${partitionIds.join()}]`;
    await bus.database.pool.query(`
      delete from waybill_bus.log_source where partition_ids && ${ids};
      delete from waybill_bus.log_batch where partition_id = any (${ids});
      delete from waybill_bus.log_segment where partition_id = any (${ids});
      delete from waybill_bus.partition_owner where partition_id = any (${ids});
      delete from waybill_bus.reported_position where partition_id = any (${ids});
      delete from waybill_bus.topic_partition where id = any (${ids});
      delete from waybill_bus.topic where name = '${name}';
      select setval(pg_get_serial_sequence('waybill_bus.topic', 'id'), max(id)) from waybill_bus.topic;
      select setval(pg_get_serial_sequence('waybill_bus.topic_partition', 'id'), max(id)) from waybill_bus.topic_partition`);
  }

  test('gets it back under its ids, and its groups read it from its start', async () => {
    await bus.log.topics.create('late', { partitions: 2 });
    const ids = (await service.log.topics.get('late')).partitionIds;
    const relay = service.relay();
    for (const n of upTo(4)) {
      await service.publish([n], 'late', `key-${n}`);
      await drain(relay);
    }
    await consume(write, 'key', service.log, 'late');
    await waitUntil(async () => (await effects()).length === 4, { describe: 'all have their effects' });
    await consumer?.stop();
    await service.database.close();
    const { created } = service;
    await loseTopic('late');
    await heal();
    service = await OwnService.of(created, bus);
    await service.publish([4], 'late', 'key-4');
    await waitUntil(
      async () => {
        await drain(service.relay());
        return (
          (await bus.log.topics.list()).some(({ name }) => name === 'late') &&
          (await bus.read('late')).numbers.length === 5
        );
      },
      { describe: 'all that was lost is there' },
    );
    expect((await bus.log.topics.get('late')).partitionIds).toEqual(ids);
    expect((await bus.log.topics.create('after')).partitionIds.every((id) => !ids.includes(id))).toBe(true);
    await consume(write, 'key', service.log, 'late');
    await waitUntil(async () => (await effects()).length === 9, { describe: 'all come again' });
    expect((await effects()).toSorted((a, b) => a - b)).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4]);
    expect((await bus.log.topics.create('after')).name).toBe('after');
  });

  test('refuses a service whose ids it has given to another topic', async () => {
    await bus.log.topics.create('late', { partitions: 2 });
    await service.log.topics.list();
    const { created } = service;
    await service.database.close();
    await loseTopic('late');
    await bus.log.topics.create('stranger', { partitions: 2 });
    await expect(OwnService.of(created, bus)).rejects.toMatchObject({ code: 'BUS_MISMATCH' });
    service = await OwnService.create(bus);
  });

  test('refuses a service of whose partitions it has given one to another topic', async () => {
    await bus.log.topics.create('late', { partitions: 1 });
    await bus.log.topics.create('later', { partitions: 1 });
    await service.log.topics.list();
    const { created } = service;
    await service.database.close();
    await loseTopic('later');
    await loseTopic('late');
    // Under its old id, and with the partition of the other one.
    await bus.log.topics.create('late', { partitions: 2 });
    service = await OwnService.of(created, bus);
    await service.publish([1], 'later');
    await expect(drain(service.relay())).rejects.toMatchObject({ code: 'BUS_MISMATCH' });
    expect((await bus.log.topics.list()).map(({ name }) => name)).toEqual(['late', 'orders']);
    expect((await bus.read('late')).numbers).toEqual([]);
  });
});

describe('a log whose server is started again', () => {
  let server: PostgresServer;
  let proxy: TcpProxy;
  let far: PgDatabase;
  beforeEach(async () => {
    server = await startPostgres();
    await setUp(server);
    proxy = await TcpProxy.start(bus.created.connectionString);
    far = new PgDatabase({ connectionString: proxy.url, connectionsMax: 20, queryTimeoutMs: 2_000 });
  });
  afterEach(async () => {
    proxy.heal();
    await consumer?.stop();
    consumer = undefined;
    await far.close();
    await proxy.close();
    await tearDown();
    await server.stop();
  });

  test('is read on, if it lost nothing, without a look at the positions of the group', async () => {
    await publish(upTo(3));
    await consume();
    await haveEffect(0, 1, 2);
    const epochs = 'select max(owner_epoch)::int from waybill.progress_owner';
    const before = await service.value(epochs);
    await server.restart('immediate');
    await publish([3]);
    await haveEffect(0, 1, 2, 3);
    expect(await service.value(epochs)).toBe(before);
  });

  test('is asked by a relay without work, which appends again what it lost', async () => {
    const relay = service.relay({}, { log: new PostgresLogEngine(far, { service: service.database }) });
    relay.service.start();
    try {
      for (const n of upTo(3)) await service.publish([n]);
      const isThere = async (): Promise<boolean> => (await bus.read()).numbers.join() === '0,1,2';
      await waitUntil(isThere, { describe: 'all are in the log' });
      proxy.silence();
      await server.restart('immediate');
      const { rows } = await bus.database.pool.query<{ last: number }>(
        'select max(base_offset)::int as last from waybill_bus.log_batch',
      );
      await loseFrom(rows[0]?.last ?? 0);
      proxy.heal();
      proxy.cut();
      await waitUntil(isThere, { describe: 'what was lost is in the log again' });
    } finally {
      await relay.service.stop();
    }
  });

  test('is read again by those who wait for replies', async () => {
    @Controller()
    class Answers {
      @MessagePattern<string>('orders')
      answer(): string {
        return 'yes';
      }
    }
    const { connectionString } = service.created;
    const module = await Test.createTestingModule({
      imports: [
        WaybillModule.forRoot({
          database: { connectionString },
          bus: { connectionString: bus.created.connectionString },
          group: 'asker',
          consumer: { leaseMs: 3_000, heartbeatMs: 200 },
        }),
      ],
      controllers: [Answers],
    }).compile();
    module.useLogger(false);
    const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
    try {
      await app.listen();
      const ask = (n: number): Promise<unknown> =>
        lastValueFrom(app.get(WaybillClient).send('orders', new WaybillRecord({ n }, { timeoutMs: 60_000 })));
      for (const n of upTo(3)) expect(await ask(n)).toBe('yes');
      const isReply = `partition_id in (select p.id from waybill_bus.topic_partition p
        join waybill_bus.topic t on t.id = p.topic_id where t.name = 'asker.replies')`;
      await bus.database.pool.query(`delete from waybill_bus.log_batch where ${isReply}`);
      await server.restart('immediate');
      expect(await ask(3)).toBe('yes');
    } finally {
      await app.close();
    }
  });

  test('is not read on, if it holds other records where the group has read', async () => {
    await publish(upTo(5));
    await consume(write, 'partition', new PostgresLogEngine(far, { service: service.database }));
    await haveEffect(0, 1, 2, 3, 4);
    // The consumer may not look in between.
    proxy.silence();
    await server.restart('immediate');
    await loseFrom(3);
    await publish(
      upTo(8).map((n) => 100 + n),
      other,
    );
    proxy.heal();
    proxy.cut();
    await failsBecause(/^LogWentBackError/);
    expect(await effects()).toEqual([0, 1, 2, 3, 4]);
  });
});
