import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { silentLogger } from '@waybill/kernel';
import { findDisagreement, reconcile, type Relay } from '@waybill/outbox';
import { type TestDatabase, waitUntil } from '@waybill/testing';
import { upTo } from '../support/fixture.js';
import { copyOf, drain, OwnService, TestBus } from '../support/own-databases.js';
import { RoleBus } from '../support/role-bus.js';

let bus: TestBus;
let service: OwnService;
let copies: TestDatabase[];

beforeEach(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
  copies = [];
});
afterEach(async () => {
  await service.close();
  await bus.close();
  await Promise.all(copies.map((copy) => copy.drop()));
});

/** By one relay, which notes in each pass that the one before was answered. */
async function publishAndMove(numbers: readonly number[]): Promise<void> {
  const relay = service.relay();
  for (const n of numbers) {
    await service.publish([n]);
    await drain(relay);
  }
}

/** A backup of the service's database as it is now; the service goes on. */
async function backUpService(): Promise<TestDatabase> {
  const { created } = service;
  await service.database.close();
  const copy = await copyOf(created);
  copies.push(copy);
  service = await OwnService.of(created, bus);
  return copy;
}

/** The service goes on with a backup of its database. */
async function restoreService(copy: TestDatabase): Promise<void> {
  await service.database.close();
  copies.push(service.created);
  copies = copies.filter((each) => each !== copy);
  service = await OwnService.of(copy, bus);
}

async function command(...words: string[]): Promise<string> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  await program.parseAsync(['--database-url', bus.created.connectionString, ...words], { from: 'user' });
  return printed;
}

describe("a service's database that was restored", () => {
  test('stops its relay before anything is published under a known number, and goes on when it is reconciled', async () => {
    await publishAndMove(upTo(3));
    const backup = await backUpService();
    await publishAndMove([3, 4]);
    await restoreService(backup);
    await service.publish([10]);
    await expect(service.relay().runOnce()).rejects.toMatchObject({ code: 'SOURCE_DIVERGED' });
    await expect(service.relay().runOnce()).rejects.toMatchObject({ code: 'SOURCE_DIVERGED' });
    expect((await bus.read()).numbers).toEqual([0, 1, 2, 3, 4]);

    const found = await findDisagreement(service.database, service.log);
    expect(found).toMatchObject({ commonN: 3, busN: 5 });
    expect(found.onlyInLog).toEqual((await bus.read()).ids.slice(3));
    expect(await reconcile(service.database, found)).toBe(1);
    await drain(service.relay());
    await publishAndMove([11]);
    expect((await bus.read()).numbers).toEqual([0, 1, 2, 3, 4, 10, 11]);
  });

  test('loses nothing that waits when other transactions end while it is reconciled', async () => {
    await publishAndMove(upTo(3));
    const backup = await backUpService();
    await publishAndMove([3, 4]);
    await restoreService(backup);
    await service.publish([10]);
    const found = await findDisagreement(service.database, service.log);
    // It waits for a reader of the passes, when it has its transaction id; and a transaction with a younger one ends.
    const reader = await service.database.pool.connect();
    await reader.query('begin; select from waybill.relay_intent limit 1');
    const reconciled = reconcile(service.database, found);
    await waitUntil(
      async () =>
        (await service.value<number>(
          `select count(*)::int from pg_locks where relation = 'waybill.relay_intent'::regclass and not granted`,
        )) > 0,
      { describe: 'it waits for the reader' },
    );
    await service.value('select pg_current_xact_id()::text');
    await reader.query('rollback');
    reader.release();
    expect(await reconciled).toBe(1);
    await drain(service.relay());
    expect((await bus.read()).numbers).toEqual([0, 1, 2, 3, 4, 10]);
  });

  test('is reconciled by its relay where it may, which reports what consumers have and the database does not', async () => {
    await publishAndMove(upTo(3));
    const backup = await backUpService();
    await publishAndMove([3, 4]);
    await restoreService(backup);
    await service.publish([10]);
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    const [first, second] = [1, 2].map(() => service.relay({ onDivergence: 'reconcile' }, { logger }));
    // Both find it at the same time; one repairs it, and the other goes on from there.
    await Promise.allSettled([drain(first as Relay), drain(second as Relay)]);
    await drain(first as Relay);
    await drain(second as Relay);
    await publishAndMove([11]);
    const { numbers, ids } = await bus.read();
    expect(numbers).toEqual([0, 1, 2, 3, 4, 10, 11]);
    expect(warnings[0]).toMatch(/up to 5, and both know pass 3.*1 messages wait to be moved/);
    expect(warnings.join()).toContain(ids.slice(3, 5).join(', '));
  });

  test('stays as it is where the relay may not reconcile, and the error says why', async () => {
    const roles = await RoleBus.create();
    try {
      const url = await roles.database('service', 'service');
      await roles.grant('shop', url, { roles: ['service'], part: 'service' });
      const restricted = await OwnService.of(
        { ...service.created, connectionString: roles.urlOf('shop', url) },
        bus,
      );
      const id = await restricted.value<string>('select id::text from waybill.service');
      await restricted.relay().runOnce();
      await bus.log.handOver(
        { serviceId: id, logEpoch: 1, n: 1, token: randomUUID(), tokenBefore: null },
        [],
      );
      const stopped = restricted.relay({ onDivergence: 'reconcile' }).runOnce();
      await expect(stopped).rejects.toMatchObject({ code: 'SOURCE_DIVERGED' });
      await expect(stopped).rejects.toThrow(/does not own Waybill's tables.*waybill relay reconcile/);
      await restricted.database.close();
    } finally {
      await roles.close();
    }
  });

  test('keeps what waited in the outbox at the time of the backup, unless the log has it', async () => {
    await publishAndMove([0]);
    await service.publish([1]);
    await service.publish([2]);
    const backup = await backUpService();
    await drain(service.relay());
    await restoreService(backup);
    await service.publish([3]);
    await expect(service.relay().runOnce()).rejects.toMatchObject({ code: 'SOURCE_DIVERGED' });
    await reconcile(service.database, await findDisagreement(service.database, service.log));
    await drain(service.relay());
    expect((await bus.read()).numbers).toEqual([0, 1, 2, 3]);
  });

  test('is noticed also when a copy of it has published as many passes', async () => {
    await publishAndMove([0]);
    const copy = await backUpService();
    await publishAndMove([1]);
    const clone = await OwnService.of(copy, bus);
    try {
      await clone.publish([100]);
      const relay = clone.relay();
      await expect(drain(relay)).rejects.toMatchObject({ code: 'SOURCE_DIVERGED' });
    } finally {
      await clone.database.close();
    }
    await publishAndMove([2]);
    expect((await bus.read()).numbers).toEqual([0, 1, 2]);
  });
});

describe('a bus that was restored', () => {
  test('stops the relay, and gets exactly what it lacks once an operator says so', async () => {
    await publishAndMove(upTo(3));
    await bus.database.close();
    const backup = await copyOf(bus.created);
    const first = bus;
    bus = TestBus.of(first.created);
    const { created } = service;
    await service.database.close();
    service = await OwnService.of(created, bus);
    await publishAndMove([3, 4, 5]);

    await service.database.close();
    await bus.database.close();
    copies.push(first.created);
    bus = TestBus.of(backup);
    service = await OwnService.of(created, bus);
    await service.publish([6]);
    await expect(service.relay().runOnce()).rejects.toMatchObject({ code: 'LOG_WENT_BACK' });
    expect((await bus.read()).numbers).toEqual([0, 1, 2]);

    expect(await command('bus', 'heal')).toMatch(/is in epoch 1 of its log\n.*then use --yes\n$/);
    await expect(service.relay().runOnce()).rejects.toMatchObject({ code: 'LOG_WENT_BACK' });
    expect(await command('bus', 'heal', '--yes')).toMatch(/is in epoch 2 of its log/);
    await drain(service.relay());
    expect((await bus.read()).numbers).toEqual([0, 1, 2, 3, 4, 5, 6]);
    await publishAndMove([7]);
    const { numbers, ids } = await bus.read();
    expect(numbers).toEqual(upTo(8));
    expect(new Set(ids).size).toBe(8);
  });
});

test('another bus than the one that a service is bound to is refused', async () => {
  await publishAndMove([0]);
  const other = await TestBus.create();
  const { created } = service;
  try {
    await service.database.close();
    await expect(OwnService.of(created, other).then((each) => each.relay().runOnce())).rejects.toMatchObject({
      code: 'BUS_MISMATCH',
    });
  } finally {
    service = await OwnService.of(created, bus);
    await other.close();
  }
});
