import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Consumer } from '@waybill/consumer';
import { type EmbeddedPostgres, startPostgres, testServerUrl, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Complaints, consume, createEffects, effectsIn, writeEffect } from '../support/failover.js';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

let server: EmbeddedPostgres;
let bus: TestBus;
let service: OwnService;
let feeder: OwnService;
let consumer: Consumer;

beforeAll(async () => {
  // Its WAL reaches the disk when a commit asks for it, and seldom by itself.
  server = await startPostgres({ settings: { synchronous_commit: 'off', wal_writer_delay: '10s' } });
  bus = await TestBus.create({ orders: { partitions: 1 } }, testServerUrl());
  service = await OwnService.create(bus, server.connectionString);
  feeder = await OwnService.create(bus);
  await createEffects(service);
});

afterAll(async () => {
  await consumer.stop();
  await feeder.close();
  await service.close();
  await bus.close();
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

/** One session dies, and PostgreSQL with it and all others; it recovers by its WAL, under the start time of before. */
async function crash(): Promise<void> {
  const started = await service.value<string>('select pg_postmaster_start_time()::text');
  const client = new pg.Client({ connectionString: server.connectionString });
  client.on('error', () => {});
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  process.kill(rows[0]?.pid ?? 0, 'SIGKILL');
  await waitUntil(
    async () => (await service.value<string>('select pg_postmaster_start_time()::text')) === started,
    { describe: 'the server accepts connections again' },
  );
}

test('a crash of a session takes no effect back, where the server commits asynchronously', async () => {
  consumer = await consume(service, writeEffect, new Complaints());
  await feed(0, 19);
  await untilEffects(20);
  await crash();
  await feed(20, 24);
  await untilEffects(25);
  expect(await effectsIn(service)).toEqual(upTo(25));
});
