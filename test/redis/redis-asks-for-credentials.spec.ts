import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Waybill, type WaybillModuleOptions } from '@waybill/nestjs';
import { choosePort, type RedisServer, startRedis, waitUntil } from '@waybill/testing';
import { Redis } from 'ioredis';
import { Fixture } from '../support/fixture.js';
import { describeWithRedis } from '../support/timers.js';

/** A self-signed certificate for db.example, and its key: only for this test. */
const TLS = fileURLToPath(new URL('../support/tls/', import.meta.url));
const SECRET = 'r3dis-s3cr3t';
/** As in docs/CREDENTIALS.md. */
const RIGHTS = /ACL SETUSER waybill on '>…' (.+)/.exec(
  readFileSync(new URL('../../docs/CREDENTIALS.md', import.meta.url), 'utf8'),
)?.[1];

describeWithRedis('Redis asks for credentials', (open) => {
  let fixture: Fixture;
  let secured: RedisServer;
  let tlsPort: number;
  let operator: Redis;
  const services: Waybill[] = [];
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const logger = { debug: note, info: note, warn: note, error: note };
  beforeAll(async () => {
    fixture = await Fixture.create();
    tlsPort = await choosePort(0);
    secured = await startRedis({
      'tls-port': String(tlsPort),
      'tls-cert-file': join(TLS, 'certificate.pem'),
      'tls-key-file': join(TLS, 'key.pem'),
      'tls-auth-clients': 'no',
    });
    operator = new Redis(secured.url);
    await setUser(SECRET);
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    lines.length = 0;
  });
  afterAll(async () => {
    operator.disconnect();
    await Promise.all([fixture.close(), secured.stop()]);
  });

  const setUser = (password: string): Promise<unknown> =>
    operator.call('ACL', ['SETUSER', 'waybill', 'reset', 'on', `>${password}`, ...(RIGHTS ?? '').split(' ')]);
  const at = (password: string | (() => string | Promise<string>) = SECRET) => {
    const { hostname: host, port } = new URL(secured.url);
    return { host, port: Number(port), username: 'waybill', password };
  };

  function service(redis: WaybillModuleOptions['redis']): Waybill {
    const database = { connectionString: fixture.url };
    const scheduler = { pollMs: 100 };
    const made = new Waybill('default', { database, group: 'shop', redis: redis ?? '', logger, scheduler });
    services.push(made);
    return made;
  }

  const isClock = (waybill: Waybill): Promise<unknown> =>
    waitUntil(() => waybill.scheduler?.status.clock === 'redis', {
      describe: () => `Redis is the clock: ${JSON.stringify(waybill.scheduler?.status)}`,
      timeoutMs: 15_000,
    });
  let next = 0;
  /** Timers fire and leases hold. */
  async function works(waybill: Waybill): Promise<void> {
    await isClock(waybill);
    next += 1;
    const payload = { n: next };
    await fixture.transaction((client) =>
      waybill.outbox.publish(client, { topic: 'orders', payload, delayMs: 300 }),
    );
    await waitUntil(async () => (await fixture.log()).some((record) => record.payload.n === payload.n), {
      describe: 'the timer has fired',
      timeoutMs: 15_000,
    });
    const name = { scope: 'payment', id: String(next) };
    expect(await waybill.guards.leases.once(name, async () => next)).toEqual({
      result: next,
      duplicate: false,
    });
    expect(await waybill.guards.leases.once(name, async () => 0)).toEqual({ result: next, duplicate: true });
    await isClock(waybill);
  }

  test('a user with the least rights is enough, and has no other right', async () => {
    await operator.call('ACL', ['LOG', 'RESET']);
    const waybill = service(at());
    await waybill.start();
    await works(waybill);
    const denied = (await operator.call('ACL', ['LOG'])) as string[][];
    // Commands that may be refused: reading the server's policy, and setting the client's name.
    const needed = denied
      .map((entry) => entry[entry.indexOf('object') + 1])
      .filter((what) => what !== 'config|get');
    expect(needed).toEqual([]);
    const own = new Redis({ ...at(), password: SECRET });
    for (const command of [
      ['FLUSHALL'],
      ['CONFIG', 'GET', '*'],
      ['KEYS', '*'],
      ['SET', 'other', '1'],
      ['GET', 'other'],
      ['ACL', 'LIST'],
      ['SHUTDOWN'],
    ])
      await expect(own.call(command[0] ?? '', command.slice(1))).rejects.toThrow(/NOPERM/);
    own.disconnect();
  });

  test('a password function is called for each connection, and its failure only delays', async () => {
    let current = SECRET;
    let fails = 2;
    const asked: string[] = [];
    const waybill = service(
      at(async () => {
        asked.push(current);
        if (fails > 0) {
          fails -= 1;
          throw new Error(`the vault is sealed, ${SECRET}`);
        }
        return current;
      }),
    );
    await waybill.start();
    await works(waybill);
    expect(asked.length).toBeGreaterThanOrEqual(3);
    current = `${SECRET}-rotated`;
    await setUser(current);
    const before = asked.length;
    await operator.call('CLIENT', ['KILL', 'USER', 'waybill']);
    await waitUntil(() => asked.slice(before).length > 0, { describe: 'it was called again' });
    await works(waybill);
    expect(new Set(asked.slice(before))).toEqual(new Set([current]));
    expect(lines.join('\n')).not.toContain(SECRET);
    await setUser(SECRET);
  });

  test('TLS, verified by default', async () => {
    const ca = readFileSync(join(TLS, 'certificate.pem'));
    const waybill = service({ ...at(), port: tlsPort, tls: { ca, servername: 'db.example' } });
    await waybill.start();
    await works(waybill);
    for (const redis of [
      `rediss://waybill:${SECRET}@127.0.0.1:${tlsPort}`,
      { ...at(), port: tlsPort, tls: { ca, servername: 'x.example' } },
    ]) {
      lines.length = 0;
      const refused = service(redis);
      await refused.start();
      await waitUntil(() => lines.some((line) => /certificate|altnames/i.test(line)), {
        describe: () => lines.join('\n'),
      });
      expect(refused.scheduler?.status.clock).toBe('postgres');
      expect(lines.join('\n')).not.toContain(SECRET);
    }
  });

  test('a wrong password stops no timers, and is not printed', async () => {
    const waybill = service(at('wrong-s3cr3t'));
    await waybill.start();
    await waitUntil(() => lines.some((line) => line.includes('WRONGPASS')), {
      describe: () => lines.join('\n'),
    });
    await fixture.transaction((client) =>
      waybill.outbox.publish(client, { topic: 'orders', payload: { n: -1 }, delayMs: 100 }),
    );
    await waitUntil(async () => (await fixture.log()).some(({ payload }) => payload.n === -1), {
      describe: 'the timer has fired',
      timeoutMs: 15_000,
    });
    await expect(waybill.guards.leases.once({ scope: 'a', id: '1' }, async () => 1)).rejects.toMatchObject({
      code: 'LEASE_STORE_UNAVAILABLE',
    });
    expect(lines.join('\n')).not.toContain('wrong-s3cr3t');
  });

  test.each([
    [{ host: 'x', password: 7 }, /password must be a string, or a function/],
    [
      { cluster: [{ host: 'x', port: 1 }], options: { redisOptions: { password: () => 'x' } } },
      /cluster must be a string/,
    ],
    [{ sentinels: [], name: 'x', sentinelPassword: () => 'x' }, /sentinelPassword must be a string/],
  ])('what the client does not support is refused: %j', (redis, says) => {
    expect(() => service(redis as unknown as WaybillModuleOptions['redis'])).toThrow(says);
    services.length = 0;
  });

  test('a forged job or record of the clock only causes a query', async () => {
    const forger = new Redis(open().url);
    const waybill = service(open().url);
    await waybill.start();
    await isClock(waybill);
    const far =
      (await fixture.value('select (extract(epoch from clock_timestamp()) * 1000)::float8')) + 864e5;
    await fixture.transaction((client) =>
      waybill.outbox.publish(client, {
        topic: 'orders',
        payload: { n: -2 },
        deliverAt: new Date(far),
      }),
    );
    const jobs = [
      '{"dueMs":1}',
      '{"dueMs":1e300}',
      '{"dueMs":"x"}',
      '{"dueMs":null}',
      '{}',
      'null',
      '[]',
      '7',
      'no JSON',
      '{"__proto__":1}',
    ];
    for (const [index, data] of jobs.entries()) {
      const id = `slot-forged-${index}`;
      await forger.hset(`{waybill}:timers:${id}`, {
        name: 'due',
        data,
        opts: '{}',
        timestamp: '1',
        delay: '0',
        priority: '0',
      });
      await forger.rpush('{waybill}:timers:wait', id);
    }
    await forger.zadd('{waybill}:timers:marker', 0, '0');
    await forger.set('{waybill}:timers:window', JSON.stringify({ epoch: 'x', server: 'y', untilMs: 1e300 }));
    await works(waybill);
    const record = JSON.parse((await forger.get('{waybill}:timers:window')) ?? '{}') as Record<
      string,
      unknown
    >;
    await forger.set('{waybill}:timers:window', JSON.stringify({ ...record, untilMs: 1e300 }));
    await waitUntil(
      async () => {
        const kept = JSON.parse((await forger.get('{waybill}:timers:window')) ?? '{}') as {
          untilMs?: number;
        };
        return (kept.untilMs ?? Infinity) < far;
      },
      { describe: 'a window that is too long is loaded again', timeoutMs: 15_000 },
    );
    await works(waybill);
    expect((await fixture.log()).some(({ payload }) => payload.n === -2)).toBe(false);
    forger.disconnect();
  });
});
