import { chmod, chown, cp, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Consumer } from '@waybill/consumer';
import type { Relay } from '@waybill/outbox';
import { type EmbeddedPostgres, startPostgres, testServerUrl, waitUntil } from '@waybill/testing';
import {
  command,
  Complaints,
  consume,
  createEffects,
  effectsIn,
  publishAnswered,
  writeOnce,
} from '../support/failover.js';
import { upTo } from '../support/fixture.js';
import { OwnService, TestBus } from '../support/own-databases.js';

const ascending = (a: number, b: number): number => a - b;

let root: string;
let server: EmbeddedPostgres;
let bus: TestBus;
let service: OwnService;
let relay: Relay;
let consumer: Consumer;
let complaints: Complaints;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'waybill-restored-'));
  await chmod(root, 0o755);
  server = await startPostgres({ dataDir: join(root, 'server') });
});
afterEach(async () => {
  await consumer.stop();
  await relay.service.stop();
  await service.close();
  await bus.close();
  await server.stop();
  await rm(root, { recursive: true, force: true });
});

/** One of the two on the server that is restored, the other one on that of the run. Relay and group run all the time. */
async function setUp(restored: 'bus' | 'service'): Promise<void> {
  const [own, shared] = [server.connectionString, testServerUrl()];
  bus = await TestBus.create({ orders: { partitions: 1 } }, restored === 'bus' ? own : shared);
  service = await OwnService.create(bus, restored === 'service' ? own : shared);
  await createEffects(service);
  complaints = new Complaints();
  relay = service.relay({}, { logger: complaints });
  relay.service.start();
  consumer = await consume(service, writeOnce, complaints);
}

/** With owners and modes: the server runs as another user where the tests run as root. */
async function copyFolder(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true });
  const names = ['.', ...(await readdir(from, { recursive: true }))];
  await Promise.all(
    names.map(async (name) => {
      const { uid, gid, mode } = await stat(join(from, name));
      await chown(join(to, name), uid, gid);
      await chmod(join(to, name), mode);
    }),
  );
}

/** The files of the server, while it is stopped. */
async function copyFiles(from: string, to: string): Promise<void> {
  await server.stop();
  await rm(join(root, to), { recursive: true, force: true });
  await copyFolder(join(root, from), join(root, to));
  await server.start();
}

async function publish(numbers: readonly number[]): Promise<void> {
  await waitUntil(
    () =>
      publishAnswered(service, relay, numbers).then(
        () => true,
        () => false,
      ),
    { describe: `${numbers.join()} are published` },
  );
}

async function haveEffects(numbers: readonly number[]): Promise<void> {
  let found: number[] = [];
  await waitUntil(
    async () => {
      found = await effectsIn(service).catch(() => []);
      return found.length >= numbers.length;
    },
    { describe: () => `effects of ${numbers.join()}, not ${found.join()}` },
  );
  expect(found.toSorted(ascending)).toEqual(numbers);
}

async function inLog(numbers: readonly number[]): Promise<void> {
  let found: number[] = [];
  await waitUntil(
    async () => {
      found = await bus.read().then(
        (read) => read.numbers,
        () => [],
      );
      return found.length >= numbers.length;
    },
    { describe: () => `the log holds ${numbers.join()}, not ${found.join()}` },
  );
  expect(found).toEqual(numbers);
}

test('a bus that was restored from its files gets back what it lacks, and every effect happens once', async () => {
  await setUp('bus');
  await publish(upTo(3));
  await haveEffects(upTo(3));
  await copyFiles('server', 'backup');
  await publish([3]);
  await publish([4]);
  await publish([5]);
  await haveEffects(upTo(6));
  await copyFiles('backup', 'server');
  await complaints.about(/the relay failed: LogWentBackError.*npx waybill bus heal/);
  await complaints.about(/cannot be consumed: LogWentBackError/);
  await inLog(upTo(3));
  expect(await command(service, bus, 'doctor')).toMatch(/^problem {2}history .*waybill bus heal/m);
  await command(service, bus, 'bus', 'heal', '--yes');
  await inLog(upTo(6));
  await publish([6]);
  await haveEffects(upTo(7));
  expect(await command(service, bus, 'doctor')).not.toMatch(/history/);
});

test('a service that was restored from its files publishes nothing under a known number, and repeats its effects', async () => {
  await setUp('service');
  await publish(upTo(3));
  await haveEffects(upTo(3));
  await copyFiles('server', 'backup');
  await publish([3]);
  await publish([4]);
  await haveEffects(upTo(5));
  await copyFiles('backup', 'server');
  await complaints.about(/the relay failed: SourceDivergedError.*npx waybill relay reconcile/);
  await haveEffects(upTo(5));
  await waitUntil(
    () =>
      service.publish([5]).then(
        () => true,
        () => false,
      ),
    { describe: '5 is published' },
  );
  expect(await command(service, bus, 'doctor')).toMatch(/^problem {2}history .*waybill relay reconcile/m);
  await inLog(upTo(5));
  expect(await command(service, bus, 'relay', 'reconcile', '--yes')).toMatch(/1 messages wait to be moved/);
  await inLog(upTo(6));
  await haveEffects(upTo(6));
  expect(await command(service, bus, 'doctor')).not.toMatch(/history/);
});
