import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Consumer } from '@waybill/consumer';
import type { Relay } from '@waybill/outbox';
import { TestCluster, testServerUrl, waitUntil } from '@waybill/testing';
import {
  command,
  Complaints,
  consume,
  createEffects,
  databaseOn,
  effectsIn,
  onServer,
  valueOn,
  writeEffect,
} from '../support/failover.js';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

const EFFECTS = 'select count(*)::int from effect';
/** Each has a transaction id of its own. */
const MANY_TRANSACTIONS = `do $$ begin for i in 1..500 loop perform pg_current_xact_id(); commit; end loop; end $$`;

let cluster: TestCluster;
let bus: TestBus;
let service: OwnService;
let feeder: OwnService;
let relay: Relay;
let complaints: Complaints;
let consumer: Consumer | undefined;

/** @param busInCluster whether the bus is another database of the service's cluster; else it is on a server of its own */
async function setUp(synchronous: boolean, busInCluster = false): Promise<void> {
  cluster = await TestCluster.start({ synchronous });
  bus = busInCluster
    ? TestBus.of(await databaseOn(cluster, 'bus'))
    : await TestBus.create({}, testServerUrl());
  await bus.log.topics.create('orders', { partitions: 1 });
  await bus.log.topics.create('shipments', { partitions: 1 });
  service = await OwnService.of(await databaseOn(cluster, 'service'), bus);
  feeder = await OwnService.create(bus);
  await createEffects(service);
  complaints = new Complaints();
  relay = service.relay({}, { logger: complaints });
  relay.service.start();
}

afterEach(async () => {
  await consumer?.stop();
  consumer = undefined;
  await relay.service.stop();
  await feeder.close();
  await service.database.close();
  await bus.database.close();
  await bus.created.drop();
  await cluster.stop();
});

/** Orders of another service, for the group of the one that fails over. */
async function feed(numbers: readonly number[]): Promise<void> {
  const own = feeder.relay();
  for (const n of numbers) {
    await feeder.publish([n], 'orders', `key-${n}`);
    await drain(own);
  }
}

/** In transactions of their own; nothing tells the relay. */
async function ship(numbers: readonly number[]): Promise<void> {
  for (const n of numbers) {
    await waitUntil(
      () =>
        service.publish([n], 'shipments').then(
          () => true,
          () => false,
        ),
      { describe: `${n} is published` },
    );
  }
}

async function shipped(...numbers: number[]): Promise<void> {
  let found: number[] = [];
  await waitUntil(
    async () => {
      found = await bus.read('shipments').then(
        (read) => read.numbers,
        () => [],
      );
      return found.length >= numbers.length;
    },
    { describe: () => `the log holds ${numbers.join()}, not ${found.join()}` },
  );
  const { ids } = await bus.read('shipments');
  expect(found).toEqual(numbers);
  expect(new Set(ids).size).toBe(ids.length);
}

/** In any order, since handlers of several keys run at the same time. */
async function haveEffects(...numbers: number[]): Promise<void> {
  let found: number[] = [];
  await waitUntil(
    async () => {
      found = await effectsIn(service).catch(() => []);
      return found.length >= numbers.length;
    },
    { describe: () => `effects of ${numbers.join()}, not ${found.join()}` },
  );
  expect(found.toSorted((a, b) => a - b)).toEqual(numbers);
}

async function failOver(): Promise<void> {
  await cluster.stopPrimary('immediate');
  await cluster.promote();
}

async function onBoth(sql: string): Promise<[primary: unknown, replica: unknown]> {
  const [primary, replica] = [cluster.primary, cluster.replica].map((server) =>
    valueOn(onServer(server, service.created), sql),
  );
  return [await primary, await replica];
}

describe("a service's database that fails over to an asynchronous standby", () => {
  beforeEach(() => setUp(false));

  test.each([
    ['key', 'nothing comes'],
    ['key', 'the next message comes at once'],
    ['partition', 'the next message comes at once'],
  ] as const)(
    'handles again what its group had handled since, in the same process (concurrency: %s, %s)',
    async (concurrency, after) => {
      consumer = await consume(service, writeEffect, complaints, { concurrency });
      await feed(upTo(3));
      await haveEffects(0, 1, 2);
      await cluster.untilCaughtUp();
      await cluster.pauseReplication();
      await feed([3, 4, 5]);
      await haveEffects(...upTo(6));
      expect(await onBoth(EFFECTS)).toEqual([6, 3]);
      await failOver();
      if (after === 'nothing comes') await haveEffects(...upTo(6));
      await feed([6]);
      await haveEffects(...upTo(7));
      expect(consumer.status.failures).toEqual([]);
    },
  );

  test('publishes nothing under a new meaning, and goes on when an operator reconciles it', async () => {
    await ship([0, 1]);
    await shipped(0, 1);
    await cluster.untilCaughtUp();
    await cluster.pauseReplication();
    await valueOn(onServer(cluster.primary, service.created), MANY_TRANSACTIONS);
    await ship([2]);
    await shipped(0, 1, 2);
    await ship([3]);
    await shipped(0, 1, 2, 3);
    const [before, after] = await onBoth('select max(n)::int from waybill.relay_intent');
    expect(before).toBeGreaterThan(after as number);
    const { ids } = await bus.read('shipments');
    await failOver();
    // Noticed before anything is published.
    await complaints.about(/the relay failed: SourceDivergedError/);
    await ship([4]);
    await shipped(0, 1, 2, 3);
    expect(await command(service, bus, 'doctor')).toMatch(
      /^problem {2}history .*the log holds pass \d, which this database does not know.*waybill relay reconcile/m,
    );

    const shown = await command(service, bus, 'relay', 'reconcile');
    expect(shown).toMatch(/2 messages are in the log whose transactions this database does not know/);
    for (const id of ids.slice(2)) expect(shown).toContain(id);
    expect(await command(service, bus, 'relay', 'reconcile', '--yes')).toMatch(/1 messages wait to be moved/);
    await shipped(0, 1, 2, 3, 4);
    await ship([5]);
    await shipped(0, 1, 2, 3, 4, 5);
  });

  test('refuses a group whose partitions were taken since, until an operator adopts it', async () => {
    await feed([0]);
    await cluster.untilCaughtUp();
    await cluster.pauseReplication();
    consumer = await consume(service, writeEffect, complaints);
    await haveEffects(0);
    expect(await onBoth('select count(*)::int from waybill.progress_owner')).toEqual([1, 0]);
    await failOver();
    await complaints.about(/cannot be consumed: ProgressWentBackError.*waybill group adopt/);
    await feed([1]);
    expect(await effectsIn(service)).toEqual([]);
    expect(await command(service, bus, 'doctor')).toMatch(
      /^problem {2}history .*group shop has taken 1 partitions more often.*waybill group adopt shop/m,
    );
    expect(await command(service, bus, 'group', 'adopt', 'shop', '--yes')).toMatch(/goes on/);
    await haveEffects(0, 1);
    await waitUntil(() => consumer?.status.failures.length === 0, { describe: 'it consumes again' });
  });
});

describe("a service's database that fails over to a synchronous standby", () => {
  beforeEach(() => setUp(true));

  test('loses nothing; its relay and its groups go on by themselves', async () => {
    consumer = await consume(service, writeEffect, complaints);
    const stopped = new AbortController();
    let fed = 0;
    const feeding = (async () => {
      for (; !stopped.signal.aborted; fed += 1) await feed([fed]);
    })();
    const answered: number[] = [];
    const shipping = (async () => {
      for (let n = 0; !stopped.signal.aborted; n += 1)
        await service.publish([n], 'shipments').then(
          () => answered.push(n),
          () => {},
        );
    })();
    await waitUntil(() => fed > 10 && answered.length > 10, { describe: 'all goes on' });
    await failOver();
    const [before, published] = [fed, answered.length];
    await waitUntil(() => fed > before + 10 && answered.length > published + 10, {
      describe: 'all goes on with the promoted server',
    });
    stopped.abort();
    await Promise.all([feeding, shipping]);
    await haveEffects(...upTo(fed));
    // A COMMIT whose answer was lost may have taken effect.
    await waitUntil(
      async () => {
        const { numbers } = await bus.read('shipments');
        return answered.every((n) => numbers.includes(n));
      },
      { describe: 'all that was answered is in the log' },
    );
    const { numbers, ids } = await bus.read('shipments');
    expect(new Set(ids).size).toBe(ids.length);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(consumer.status.failures).toEqual([]);
    expect(complaints.lines.filter((line) => /WentBack|Diverged/.test(line))).toEqual([]);
  });
});

describe('a service and its bus that fail over together to an asynchronous standby', () => {
  beforeEach(() => setUp(false, true));

  test('go on by themselves: what is lost of one is lost of the other', async () => {
    consumer = await consume(service, writeEffect, complaints);
    await ship([0, 1, 2]);
    await shipped(0, 1, 2);
    await feed([0, 1]);
    await haveEffects(0, 1);
    await cluster.untilCaughtUp();
    await cluster.pauseReplication();
    await valueOn(onServer(cluster.primary, service.created), MANY_TRANSACTIONS);
    await ship([3, 4]);
    await shipped(0, 1, 2, 3, 4);
    await failOver();
    await ship([5]);
    await shipped(0, 1, 2, 5);
    expect(await service.value('select max(confirmed_n) <= max(n) from waybill.relay_intent')).toBe(true);
    await ship([6]);
    await shipped(0, 1, 2, 5, 6);
    expect(
      await service.value('select bool_and(confirmed_n < n) from waybill.relay_intent where n > 0'),
    ).toBe(true);
    await feed([2]);
    await haveEffects(0, 1, 2);
  });
});
