import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Consumer } from '@waybill/consumer';
import type { Relay } from '@waybill/outbox';
import { TestCluster, waitUntil } from '@waybill/testing';
import {
  command,
  Complaints,
  consume,
  createEffects,
  databaseOn,
  effectsIn,
  onServer,
  publishAnswered,
  valueOn,
  writeEffect,
  writeOnce,
} from '../support/failover.js';
import { upTo } from '../support/fixture.js';
import { OwnService, TestBus } from '../support/own-databases.js';

const PASSES = 'select count(*)::int from waybill_bus.log_source';
const ascending = (a: number, b: number): number => a - b;

let cluster: TestCluster;
let bus: TestBus;
let service: OwnService;
let other: OwnService;
let relays: [service: Relay, other: Relay];
let complaints: Complaints;
let consumer: Consumer | undefined;
let audit: Consumer | undefined;

async function setUp(synchronous: boolean): Promise<void> {
  cluster = await TestCluster.start({ synchronous });
  bus = TestBus.of(await databaseOn(cluster, 'bus'));
  await bus.log.topics.create('orders', { partitions: 1 });
  [service, other] = [await OwnService.create(bus), await OwnService.create(bus)];
  await Promise.all([createEffects(service), createEffects(other)]);
  complaints = new Complaints();
  relays = [service.relay({}, { logger: complaints }), other.relay({}, { logger: complaints })];
  for (const relay of relays) relay.service.start();
}

afterEach(async () => {
  await Promise.all([consumer?.stop(), audit?.stop()]);
  [consumer, audit] = [undefined, undefined];
  await Promise.all(relays.map((relay) => relay.service.stop()));
  await Promise.all([service.close(), other.close()]);
  await bus.database.close();
  await cluster.stop();
});

/** The numbers in the log, once it can be read and holds that many. */
async function inLog(count: number): Promise<number[]> {
  let found: number[] = [];
  await waitUntil(
    async () => {
      found = [];
      const { numbers, ids } = await bus.read();
      found = numbers;
      expect(new Set(ids).size).toBe(ids.length);
      return numbers.length >= count;
    },
    { describe: () => `the log holds ${count} records, not ${found.join()}`, timeoutMs: 60_000 },
  );
  return found;
}

async function haveEffects(numbers: readonly number[], of = service): Promise<void> {
  let found: number[] = [];
  await waitUntil(async () => (found = await effectsIn(of)).length >= numbers.length, {
    describe: () => `effects of ${numbers.join()}, not ${found.join()}`,
    timeoutMs: 60_000,
  });
  expect((await effectsIn(of)).toSorted(ascending)).toEqual([...numbers].toSorted(ascending));
}

describe('a bus that fails over to an asynchronous standby', () => {
  beforeEach(() => setUp(false));

  test('gets back what it lost when an operator heals it, and every effect happens once', async () => {
    const [mine, others] = relays;
    consumer = await consume(service, writeOnce, complaints);
    await publishAnswered(service, mine, upTo(5));
    await publishAnswered(other, others, [100, 101]);
    await haveEffects([...upTo(5), 100, 101]);
    await cluster.untilCaughtUp();

    await cluster.pauseReplication();
    await publishAnswered(other, others, [102, 103]);
    await publishAnswered(service, mine, [5, 6, 7]);
    await publishAnswered(other, others, [104]);
    const all = [...upTo(8), 100, 101, 102, 103, 104];
    await haveEffects(all);
    const [first, second] = [cluster.primary, cluster.replica].map((server) => onServer(server, bus.created));
    expect(await valueOn(first as string, PASSES)).toBe(13);
    expect(await valueOn(second as string, PASSES)).toBe(7);

    await cluster.stopPrimary('immediate');
    await cluster.promote();
    await service.publish([8], 'orders', 'key-8');
    await complaints.about(/the relay failed: LogWentBackError/);
    await complaints.about(/cannot be consumed: LogWentBackError/);
    // Nothing was appended, nor handled.
    expect((await inLog(7)).toSorted(ascending)).toEqual([...upTo(5), 100, 101]);
    expect(await effectsIn(service)).toHaveLength(all.length);
    const examined = await command(service, bus, 'doctor');
    expect(examined).toMatch(/^problem {2}history .*the log holds passes up to 5 and had answered for \d/m);
    expect(examined).toMatch(/In orders\[0\], group shop has read up to offset 13, and the log ends at 7/);
    expect(examined).toMatch(/-> See "The bus went back" in docs\/OPERATIONS.md: waybill bus heal/);
    await expect(command(service, bus, 'relay', 'reconcile')).rejects.toMatchObject({
      code: 'LOG_WENT_BACK',
    });

    await command(service, bus, 'bus', 'heal', '--yes');
    expect((await inLog(14)).toSorted(ascending)).toEqual([...all, 8].toSorted(ascending));
    await haveEffects([...all, 8]);
    await waitUntil(() => consumer?.status.failures.length === 0, { describe: 'it consumes again' });
    await publishAnswered(service, mine, [9]);
    await publishAnswered(other, others, [105]);
    await haveEffects([...all, 8, 9, 105]);
    expect(await command(service, bus, 'doctor')).not.toMatch(/history/);
  });

  test('reports what no outbox has any more, and goes on without it', async () => {
    const [mine] = relays;
    await publishAnswered(service, mine, upTo(2));
    await cluster.untilCaughtUp();
    await cluster.pauseReplication();
    await publishAnswered(service, mine, [2, 3, 4, 5]);
    const { ids } = await bus.read();
    // As if they had been in a slot of the outbox that was emptied: the log had answered for them.
    await service.database.pool.query(`delete from waybill.outbox where message_id = any ($1::uuid[])`, [
      ids.slice(2, 4),
    ]);
    await cluster.stopPrimary('immediate');
    await cluster.promote();
    await complaints.about(/the relay failed: LogWentBackError/);
    await command(service, bus, 'bus', 'heal', '--yes');
    await complaints.about(/The log lacks pass 3, and of its 1 rows the outbox has only 0 any more/);
    expect(await inLog(2)).toEqual([0, 1]);
    expect(await command(service, bus, 'doctor')).toMatch(
      /^problem {2}history .*the log lacks passes from 3 on.*waybill relay reconcile goes on without them/m,
    );

    const shown = await command(service, bus, 'relay', 'reconcile');
    expect(shown).toMatch(/up to 2 messages of passes 3 to 4, handed over from \S+Z to \S+Z, are lost/);
    expect(await command(service, bus, 'relay', 'reconcile', '--yes')).toMatch(/2 messages wait to be moved/);
    expect(await inLog(4)).toEqual([0, 1, 4, 5]);
    await publishAnswered(service, mine, [6]);
    expect(await inLog(5)).toEqual([0, 1, 4, 5, 6]);
  });

  test('gives no group the members of another that it has lost', async () => {
    const [mine] = relays;
    await publishAnswered(service, mine, [0]);
    await cluster.untilCaughtUp();
    await cluster.pauseReplication();
    consumer = await consume(service, writeEffect, complaints);
    await haveEffects([0]);
    const groups = 'select count(*)::int from waybill_bus.consumer_group';
    expect(await valueOn(onServer(cluster.replica, bus.created), groups)).toBe(0);
    // While the lost one's member is still with the old primary.
    await cluster.promote();
    const serviceId = await other.value<string>('select id from waybill.service');
    const join = `select waybill_bus.group_join('audit', '${serviceId}')`;
    expect(await valueOn(onServer(cluster.primary, bus.created), join)).toBe(1);
    await cluster.replica.kill();
    audit = await consume(other, writeEffect, complaints, { group: 'audit' });
    await publishAnswered(service, mine, [1]);
    await haveEffects([0, 1]);
    await haveEffects([0, 1], other);
  });
});

describe('a bus that fails over to a synchronous standby', () => {
  beforeEach(() => setUp(true));

  test('loses nothing, and goes on by itself', async () => {
    const [mine, others] = relays;
    consumer = await consume(service, writeEffect, complaints);
    await publishAnswered(service, mine, upTo(3));
    await publishAnswered(other, others, [100]);
    await haveEffects([...upTo(3), 100]);

    const stopped = new AbortController();
    const published: number[] = [...upTo(3), 100];
    const producers = [service, other].map(async (each, index) => {
      for (let n = index * 100 + 10; !stopped.signal.aborted; n += 1) {
        await each.publish([n], 'orders', `key-${n}`);
        published.push(n);
      }
    });
    await inLog(20);
    await cluster.stopPrimary('immediate');
    const before = published.length;
    await waitUntil(() => published.length > before + 20, { describe: 'services publish without the bus' });
    await cluster.promote();
    const after = published.length;
    await waitUntil(() => published.length > after + 20, { describe: 'they publish with the new one' });
    stopped.abort();
    await Promise.all(producers);
    expect((await inLog(published.length)).toSorted(ascending)).toEqual(published.toSorted(ascending));
    await haveEffects(published);
    expect(consumer.status.failures).toEqual([]);
    expect(complaints.lines.filter((line) => /WentBack|Diverged/.test(line))).toEqual([]);
    // No operator had to act.
    expect(
      await valueOn(
        onServer(cluster.primary, bus.created),
        'select max(epoch)::int from waybill_bus.log_epoch',
      ),
    ).toBe(1);
  });
});
