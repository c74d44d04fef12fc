import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type Lease,
  LeaseGuard,
  type LeaseGuardOptions,
  type LeaseStore,
  RedisLeaseStore,
} from '@waybill/guard';
import { PgSession, systemClock } from '@waybill/kernel';
import { type PgQueryable } from '@waybill/kernel/internal';
import { type RedisServer, startRedis, waitUntil } from '@waybill/testing';
import { Cluster } from 'ioredis';
import { Fixture } from '../support/fixture.js';
import { type LeaseKind, LeaseStores } from '../support/leases.js';
import { describeWithRedis } from '../support/timers.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create({});
});
afterAll(() => fixture.close());

/** Work that is held until it is released. */
function held() {
  let letGo: () => void = () => undefined;
  let begin: (lease: Lease) => void = () => undefined;
  const begun = new Promise<Lease>((resolve) => (begin = resolve));
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const work = async (lease: Lease): Promise<string> => {
    begin(lease);
    await gate;
    return `by ${lease.fence}`;
  };
  return { begun, letGo: () => letGo(), work };
}

let ids = 0;
function newName(fingerprint?: string) {
  ids += 1;
  return { scope: 'orders:mail', id: `${process.pid}-${ids}`, fingerprint };
}

const never = async (): Promise<never> => {
  throw new Error('it ran');
};

function suite(kind: LeaseKind, redis: () => RedisServer): void {
  let stores: LeaseStores;
  let store: LeaseStore;
  beforeEach(async () => {
    stores = new LeaseStores(fixture.database.session, redis);
    store = stores.of(kind);
    await stores.ready();
  });
  afterEach(() => stores.close());
  const guard = (options: LeaseGuardOptions = {}): LeaseGuard => new LeaseGuard(store, options);

  test('runs once, and gives duplicates the result of the first', async () => {
    const name = newName();
    let runs = 0;
    const work = async () => ({ pieces: (runs += 1), text: 'ä"\'', none: null });
    const first = await guard().once(name, work);
    expect(first).toEqual({ result: { pieces: 1, text: 'ä"\'', none: null }, duplicate: false });
    expect(await guard().once(name, work)).toEqual({ ...first, duplicate: true });
    const silent = newName();
    expect(await guard().once(silent, async () => undefined)).toEqual({ result: null, duplicate: false });
    expect(await guard().once(silent, never)).toEqual({ result: null, duplicate: true });
    expect(runs).toBe(1);
  });

  test('one of many at once runs, and the others wait for it', async () => {
    const name = newName();
    let runs = 0;
    const all = await Promise.all(
      Array.from({ length: 50 }, () =>
        guard().once(name, async () => {
          runs += 1;
          await systemClock.sleep(30);
          return runs;
        }),
      ),
    );
    expect(runs).toBe(1);
    expect(all.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(all.every(({ result }) => result === 1)).toBe(true);
  });

  test('tells a duplicate that the first is running, and how long its lease lasts', async () => {
    const name = newName();
    const { begun, letGo, work } = held();
    const running = guard().once(name, work);
    await begun;
    const refused = guard({ onConflict: 'refuse' }).once(name, never);
    await expect(refused).rejects.toMatchObject({ code: 'EFFECT_IN_PROGRESS', retryable: true });
    const { retryAfterMs } = (await refused.catch((error: unknown) => error)) as { retryAfterMs: number };
    expect(retryAfterMs).toBeGreaterThan(15_000);
    expect(retryAfterMs).toBeLessThanOrEqual(30_000);
    await expect(guard({ waitMs: 30 }).once(name, never)).rejects.toMatchObject({
      code: 'EFFECT_IN_PROGRESS',
    });
    letGo();
    await running;
  });

  test('work that fails leaves the name free at once', async () => {
    const name = newName();
    await expect(guard().once(name, never)).rejects.toThrow('it ran');
    expect(await guard({ onConflict: 'refuse' }).once(name, async () => 2)).toEqual({
      result: 2,
      duplicate: false,
    });
  });

  test('an id that comes again with different content is refused', async () => {
    const name = newName('a');
    await guard().once(name, async () => 1);
    expect(await guard().once(name, never)).toMatchObject({ duplicate: true });
    await expect(guard().once({ ...name, fingerprint: 'b' }, never)).rejects.toMatchObject({
      code: 'ID_MISMATCH',
    });
  });

  test('long work keeps its lease', async () => {
    const name = newName();
    const { begun, letGo, work } = held();
    const running = guard({ leaseMs: 2_000 }).once(name, work);
    const lease = await begun;
    await expect(guard({ waitMs: 6_000 }).once(name, never)).rejects.toMatchObject({
      code: 'EFFECT_IN_PROGRESS',
    });
    expect(lease.signal.aborted).toBe(false);
    letGo();
    expect(await running).toMatchObject({ duplicate: false });
  });

  test('a claim whose process is gone ends with its lease, and the next has a higher fence', async () => {
    const name = `gone ${kind}`;
    const first = await store.claim(name, null, 100);
    expect(await store.claim(name, null, 100)).toMatchObject({ state: 'in-progress' });
    let second = await store.claim(name, null, 100);
    await waitUntil(async () => (second = await store.claim(name, null, 10_000)).state === 'claimed', {
      describe: () => `the lease has ended: ${JSON.stringify(second)}`,
    });
    if (first.state !== 'claimed' || second.state !== 'claimed') throw new Error('not claimed');
    expect(BigInt(second.fence)).toBeGreaterThan(BigInt(first.fence));
    // The first is back, and can no longer do anything.
    expect(await store.renew(name, first.fence, 10_000)).toBe(false);
    expect(await store.finish(name, first.fence, '1', 10_000)).toBe(false);
    await store.release(name, first.fence);
    expect(await store.claim(name, null, 100)).toMatchObject({ state: 'in-progress' });
    expect(await store.finish(name, second.fence, '2', 10_000)).toBe(true);
    expect(await store.finish(name, second.fence, '2', 10_000)).toBe(true);
    expect(await store.renew(name, second.fence, 10_000)).toBe(false);
    await store.release(name, second.fence);
    expect(await store.claim(name, null, 100)).toEqual({ state: 'done', result: '2', fingerprint: null });
  });

  test('an expired lease remains valid until another process claims it', async () => {
    const name = `late ${kind}`;
    const claim = await store.claim(name, null, 1);
    if (claim.state !== 'claimed') throw new Error('not claimed');
    await systemClock.sleep(20);
    expect(await store.renew(name, claim.fence, 10_000)).toBe(true);
    expect(await store.claim(name, null, 100)).toMatchObject({ state: 'in-progress' });
    expect(await store.finish(name, claim.fence, null, 10_000)).toBe(true);
  });

  test('a renewal that comes after the release restores nothing', async () => {
    const name = `released ${kind}`;
    const claim = await store.claim(name, null, 10_000);
    if (claim.state !== 'claimed') throw new Error('not claimed');
    await store.release(name, claim.fence);
    expect(await store.renew(name, claim.fence, 10_000)).toBe(false);
    expect(await store.claim(name, null, 10_000)).toMatchObject({ state: 'claimed' });
  });

  test('a holder that has lost the lease sees its signal abort, and its result is not stored', async () => {
    const name = newName();
    const { begun, letGo, work } = held();
    // Renewals do not get through, as in a paused process.
    const deaf: LeaseStore = {
      claim: (...given) => store.claim(...given),
      renew: async () => false,
      finish: (...given) => store.finish(...given),
      release: (...given) => store.release(...given),
    };
    const running = new LeaseGuard(deaf, { leaseMs: 150 }).once(name, work);
    const lease = await begun;
    await waitUntil(() => lease.signal.aborted, { describe: () => 'the signal has aborted' });
    const second = await guard().once(name, async () => 'second');
    expect(second).toEqual({ result: 'second', duplicate: false });
    letGo();
    await expect(running).rejects.toMatchObject({ code: 'FENCED' });
    expect(await guard().once(name, never)).toEqual({ result: 'second', duplicate: true });
  });

  test('a result that cannot be stored does not make the work run again', async () => {
    for (const [code, result] of [
      ['RESULT_TOO_LARGE', 'x'.repeat(200)],
      ['RESULT_NOT_SERIALIZABLE', 1n],
    ] as const) {
      const name = newName();
      const small = guard({ maxResultBytes: 100 });
      await expect(small.once(name, async () => result)).rejects.toMatchObject({ code });
      await expect(small.once(name, never)).rejects.toMatchObject({ code });
    }
  });

  test('a mark is deleted after its window, and names of all kinds are distinct', async () => {
    const name = { scope: kind, id: 'b:c' };
    await guard({ windowMs: 1_000 }).once(name, async () => 1);
    expect(await guard().once({ scope: `${kind}:b`, id: 'c' }, async () => 2)).toMatchObject({
      duplicate: false,
    });
    for (const id of ['}', '{}', 'x'.repeat(5_000), 'ä\u{1F600}', '']) {
      expect(await guard().once({ scope: `}${kind}`, id }, async () => id)).toEqual({
        result: id,
        duplicate: false,
      });
      expect(await guard().once({ scope: `}${kind}`, id }, never)).toEqual({ result: id, duplicate: true });
    }
    await waitUntil(async () => !(await guard().once(name, async () => 3)).duplicate, {
      describe: () => 'the window is over',
    });
  });
}

describe('leases in PostgreSQL', () => {
  suite('postgres', () => {
    throw new Error('there is no Redis in this suite');
  });

  test('refuse a transaction that cannot see what others commit', async () => {
    const client = await fixture.database.pool.connect();
    try {
      await client.query('begin isolation level repeatable read');
      const guard = new LeaseGuard(
        new LeaseStores(new PgSession(client as unknown as PgQueryable), () => {
          throw new Error('no Redis');
        }).of('postgres'),
      );
      await expect(guard.once(newName(), never)).rejects.toMatchObject({ code: 'ISOLATION_LEVEL' });
      await client.query('rollback');
    } finally {
      client.release();
    }
  });
});

describeWithRedis('leases in Redis', (redis) => {
  suite('redis', redis);

  let stores: LeaseStores;
  beforeEach(() => {
    stores = new LeaseStores(fixture.database.session, redis);
  });
  afterEach(async () => {
    redis().resume();
    await redis().start();
    stores.close();
  });

  test('while Redis is unavailable nothing starts, and a retry is possible', async () => {
    const guard = new LeaseGuard(stores.of('redis'));
    await stores.ready();
    redis().pause();
    await expect(guard.once(newName(), never)).rejects.toMatchObject({
      code: 'LEASE_STORE_UNAVAILABLE',
      retryable: true,
    });
    redis().resume();
    await redis().kill();
    await expect(guard.once(newName(), never)).rejects.toMatchObject({ code: 'LEASE_STORE_UNAVAILABLE' });
    await redis().start();
    await stores.ready();
    expect(await guard.once(newName(), async () => 1)).toMatchObject({ duplicate: false });
  });

  test('scripts are reloaded when Redis has lost them, and fences still increase', async () => {
    const store = stores.of('redis');
    await stores.ready();
    const before = await store.claim('flushed', null, 10_000);
    await redis().restart();
    await stores.ready();
    const after = await store.claim('flushed', null, 10_000);
    if (before.state !== 'claimed' || after.state !== 'claimed') throw new Error('not claimed');
    expect(BigInt(after.fence)).toBeGreaterThan(BigInt(before.fence));
  });

  test('a result is recorded when Redis comes back before the lease ends', async () => {
    const guard = new LeaseGuard(stores.of('redis'));
    await stores.ready();
    const name = newName();
    const { begun, letGo, work } = held();
    const running = guard.once(name, work);
    await begun;
    redis().pause();
    letGo();
    await systemClock.sleep(2_000);
    redis().resume();
    const { result } = await running;
    expect(await guard.once(name, never)).toEqual({ result, duplicate: true });
  });
});

describeWithRedis('leases in a cluster of Redis', () => {
  test('are in one hash slot each, whatever their names are', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'redis-'));
    const server = await startRedis({
      dir: folder,
      'cluster-enabled': 'yes',
      'cluster-announce-ip': '127.0.0.1',
    });
    const cluster = new Cluster([{ host: '127.0.0.1', port: Number(new URL(server.url).port) }], {
      clusterRetryStrategy: () => 20,
    });
    cluster.on('error', () => {});
    try {
      await server.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
      await waitUntil(async () => (await server.command('CLUSTER', 'INFO')).includes('cluster_state:ok'), {
        describe: () => 'the cluster is up',
      });
      await waitUntil(() => cluster.status === 'ready', { describe: () => `connected: ${cluster.status}` });
      const store = new RedisLeaseStore(cluster);
      for (const name of ['a', 'b', 'c{d}e', '}', '{}', '{', '']) {
        const claim = await store.claim(name, null, 10_000);
        if (claim.state !== 'claimed') throw new Error('not claimed');
        expect(await store.renew(name, claim.fence, 10_000)).toBe(true);
        expect(await store.finish(name, claim.fence, name, 10_000)).toBe(true);
        expect(await store.claim(name, null, 10_000)).toMatchObject({ state: 'done', result: name });
      }
    } finally {
      cluster.disconnect();
      await server.stop();
      await rm(folder, { recursive: true });
    }
  });
});

describeWithRedis('leases in Redis with PostgreSQL as its fallback', (redis) => {
  suite('backed', redis);

  let stores: LeaseStores;
  let guard: LeaseGuard;
  beforeEach(async () => {
    stores = new LeaseStores(fixture.database.session, redis);
    guard = new LeaseGuard(stores.of('backed'), { onConflict: 'refuse' });
    await stores.ready();
  });
  afterEach(async () => {
    redis().resume();
    await redis().start();
    stores.close();
  });

  test.each(['kill', 'flush', 'pause'] as const)('nothing is done twice after a %s of Redis', async (how) => {
    const done = newName();
    const { result } = await guard.once(done, async () => 'first');
    const open = newName();
    const { begun, letGo, work } = held();
    const running = guard.once(open, work);
    await begun;
    if (how === 'kill') await redis().kill();
    if (how === 'flush') await redis().command('FLUSHALL');
    if (how === 'pause') redis().pause();
    expect(await guard.once(done, never)).toEqual({ result, duplicate: true });
    await expect(guard.once(open, never)).rejects.toMatchObject({ code: 'EFFECT_IN_PROGRESS' });
    expect(await guard.once(newName(), async () => 3)).toMatchObject({ duplicate: false });
    letGo();
    const ended = await running;
    expect(await guard.once(open, never)).toEqual({ result: ended.result, duplicate: true });
    redis().resume();
    await redis().start();
    await stores.ready();
    expect(await guard.once(open, never)).toEqual({ result: ended.result, duplicate: true });
  });
});
