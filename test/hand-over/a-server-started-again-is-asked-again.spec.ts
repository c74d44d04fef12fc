import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Grant } from '@waybill/log';
import { GroupMembership } from '@waybill/log/postgres/internal';
import { newId } from '@waybill/kernel';
import { type PostgresServer, startPostgres, testServerUrl, waitUntil } from '@waybill/testing';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

/** Of the database that the test is about; the other one is on the run's server. */
let server: PostgresServer;
let bus: TestBus;

beforeEach(async () => {
  server = await startPostgres();
});
afterEach(async () => {
  await server.stop();
});

describe("a service's database whose server is started again", () => {
  let service: OwnService;
  beforeEach(async () => {
    bus = await TestBus.create({ orders: { partitions: 1 } }, testServerUrl());
    service = await OwnService.create(bus, server.connectionString);
  });
  afterEach(async () => {
    await service.close();
    await bus.close();
  });

  test('stops a relay without work, if it lacks a pass that the log holds', async () => {
    const relay = service.relay();
    for (const n of upTo(3)) {
      await service.publish([n]);
      await drain(relay);
    }
    await server.restart('immediate');
    // As a replica that was behind lacks it.
    await service.database.pool.query('delete from waybill.relay_intent where n = 3');
    await expect(drain(relay)).rejects.toMatchObject({ code: 'SOURCE_DIVERGED' });
  });
});

describe('a bus whose server is started again', () => {
  let membership: GroupMembership;
  const lost: Grant[] = [];
  beforeEach(async () => {
    lost.length = 0;
    bus = await TestBus.create({ orders: { partitions: 1 } }, server.connectionString);
    const serviceId = newId();
    // No signal makes a heartbeat: the test does.
    const signals = { send: () => {}, subscribe: () => () => {} };
    membership = new GroupMembership(bus.database, bus.log.topics, signals, {
      group: 'shop',
      serviceId: () => serviceId,
      topics: () => ['orders'],
      leaseMs: 600_000,
      heartbeatMs: 200_000,
      listener: {
        onAssigned: () => Promise.resolve(),
        onRevoked: () => Promise.resolve(),
        onLost: (grant) => Promise.resolve(void lost.push(grant)),
      },
    });
    await membership.start();
    await waitUntil(() => membership.owned.length === 1, { describe: 'it owns the partition' });
  });
  afterEach(async () => {
    await membership.stop();
    await bus.close();
  });

  test('gets no member into the group that has the id of a lost one', async () => {
    const [owned] = membership.owned;
    await server.restart('immediate');
    // As a replica that was behind lacks the group, and has given its id to the first that came then.
    await bus.database.pool.query(`
      delete from waybill_bus.partition_owner;
      delete from waybill_bus.group_member;
      update waybill_bus.consumer_group set name = 'audit', service_id = gen_random_uuid()`);
    await membership.runOnce();
    const { rows } = await bus.database.pool.query<{ name: string; member_id: string }>(
      'select g.name, m.member_id from waybill_bus.group_member m join waybill_bus.consumer_group g on g.id = m.group_id',
    );
    expect(rows).toEqual([{ name: 'shop', member_id: membership.memberId }]);
    expect(lost).toEqual([owned]);
  });
});
