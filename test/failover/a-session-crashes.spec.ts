import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Consumer } from '@waybill/consumer';
import { LogAppender } from '@waybill/log';
import { type EmbeddedPostgres, startPostgres, testServerUrl, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Complaints, consume, createEffects, effectsIn, writeEffect } from '../support/failover.js';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

let server: EmbeddedPostgres;
let bus: TestBus;
/** A bus on that server. */
let weakBus: TestBus;
let service: OwnService;
let feeder: OwnService;
let consumer: Consumer | undefined;

beforeAll(async () => {
  // Its WAL reaches the disk when a commit asks for it, and seldom by itself.
  server = await startPostgres({ settings: { synchronous_commit: 'off', wal_writer_delay: '10s' } });
  bus = await TestBus.create({ orders: { partitions: 1 } }, testServerUrl());
  weakBus = await TestBus.create({ orders: { partitions: 1 } }, server.connectionString);
  service = await OwnService.create(bus, server.connectionString);
  feeder = await OwnService.create(bus);
  await createEffects(service);
});

afterAll(async () => {
  await consumer?.stop();
  await Promise.all([feeder.close(), service.close(), bus.close(), weakBus.close()]);
  await server.stop();
});

async function feed(from: number, to: number): Promise<void> {
  const relay = feeder.relay();
  for (let n = from; n <= to; n += 1) {
    await feeder.publish([n], 'orders', `key-${n}`);
    await drain(relay);
  }
}

async function untilEffects(last: number): Promise<void> {
  await waitUntil(async () => (await effectsIn(service)).length >= last, {
    describe: `${last} effects`,
    timeoutMs: 30_000,
  });
}

/** One session dies, and PostgreSQL with it and all others. It recovers by its WAL, under the start time of before. */
async function crash(): Promise<void> {
  const started = await service.value<string>('select pg_postmaster_start_time()::text');
  const [victim, witness] = [new Session(), new Session()];
  const pids = await Promise.all([victim, witness].map((one) => one.connect()));
  process.kill(pids[0] ?? 0, 'SIGKILL');
  await Promise.all([victim.ended, witness.ended]);
  await waitUntil(
    async () => {
      const session = new Session();
      await session.connect();
      await session.end();
      return true;
    },
    { describe: 'the server accepts connections again' },
  );
  expect(await service.value<string>('select pg_postmaster_start_time()::text')).toBe(started);
}

/** A session on that server, past all pools. */
class Session {
  readonly #client = new pg.Client({ connectionString: server.connectionString });
  readonly ended = new Promise<void>((resolve) => this.#client.once('end', resolve));

  async connect(): Promise<number> {
    this.#client.on('error', () => {});
    await this.#client.connect();
    const { rows } = await this.#client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return rows[0]?.pid ?? 0;
  }

  end(): Promise<void> {
    return this.#client.end();
  }
}

test.each(['all', '1'] as const)(
  'a crash of a session takes no record back that was acknowledged by acks %s',
  async (acks) => {
    const { numbers: before } = await weakBus.read();
    const appender = new LogAppender(weakBus.log, { acks });
    const appended = upTo(10).map((n) => n + before.length);
    for (const n of appended)
      await appender.append({ topic: 'orders', value: Buffer.from(JSON.stringify({ n })) });
    await appender.close();
    await crash();
    expect((await weakBus.read()).numbers).toEqual([...before, ...appended]);
  },
);

test('a crash of a session takes no effect back, where the server commits asynchronously', async () => {
  consumer = await consume(service, writeEffect, new Complaints());
  await feed(0, 19);
  await untilEffects(20);
  await crash();
  await feed(20, 24);
  await untilEffects(25);
  expect(await effectsIn(service)).toEqual(upTo(25));
});
