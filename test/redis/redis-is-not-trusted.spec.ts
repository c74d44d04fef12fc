import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { LeaseGuard, RedisLeaseStore } from '@waybill/guard';
import { LeaseSeal } from '@waybill/guard/internal';
import { Waybill } from '@waybill/nestjs';
import { Redis } from 'ioredis';
import { Fixture } from '../support/fixture.js';
import { type LeaseKind, LeaseStores } from '../support/leases.js';
import { describeWithRedis } from '../support/timers.js';

let fixture: Fixture;
/** An attacker who may write to Redis. */
let forger: Redis;

describeWithRedis('what others write to Redis is not believed', (redis) => {
  beforeAll(async () => {
    fixture = await Fixture.create();
    forger = new Redis(redis().url);
  });
  afterAll(async () => {
    forger.disconnect();
    await fixture.close();
  });
  beforeEach(async () => {
    await forger.flushall();
  });

  const never = (): Promise<never> => Promise.reject(new Error('it ran'));
  const keyOf = (id: string): string => `waybill:guard:{n7:payment:${id}}`;
  const name = (id: string, fingerprint?: string) => ({ scope: 'payment', id, fingerprint });
  const answer = { paid: 100 };

  /** What the attacker does to a mark, or stores instead of one. `other` is the name of a genuine mark. */
  const forgeries: readonly [string, (key: string, other: string) => Promise<unknown>][] = [
    ['another result', (key) => forger.hset(key, 'r', '{"paid":1}')],
    ['no result', (key) => forger.hdel(key, 'r')],
    ['another fingerprint', (key) => forger.hset(key, 'p', 'b')],
    ['no fingerprint', (key) => forger.hdel(key, 'p')],
    ['another fence', (key) => forger.hset(key, 'f', '1')],
    ['no fence', (key) => forger.hdel(key, 'f')],
    ['no MAC', (key) => forger.hdel(key, 'm')],
    ['an odd MAC', (key) => forger.hset(key, 'm', `1.${'x'.repeat(43)}`)],
    ['a MAC of an unknown key', (key) => forger.hset(key, 'm', `999999.${'x'.repeat(43)}`)],
    ['a key out of range', (key) => forger.hset(key, 'm', `${'9'.repeat(15)}.${'x'.repeat(43)}`)],
    [
      'the mark of another name',
      async (key, other) => {
        await forger.del(key);
        await forger.copy(other, key);
      },
    ],
    [
      'a string instead of the mark',
      async (key) => {
        await forger.del(key);
        await forger.set(key, 'done');
      },
    ],
  ];

  const opened: LeaseStores[] = [];
  afterEach(() => {
    for (const stores of opened.splice(0)) stores.close();
  });

  /** A process that shares the leases: it knows only what is stored. */
  async function process(kind: LeaseKind): Promise<LeaseGuard> {
    const stores = new LeaseStores(fixture.database.session, redis);
    opened.push(stores);
    const guard = new LeaseGuard(stores.of(kind), { onConflict: 'refuse' });
    await stores.ready();
    return guard;
  }

  describe.each<LeaseKind>(['redis', 'backed'])('leases in %s', (kind) => {
    let first: LeaseGuard;
    let second: LeaseGuard;
    beforeEach(async () => {
      [first, second] = await Promise.all([process(kind), process(kind)]);
    });
    const newId = (what: string): string => `${kind} ${what}`;

    test('the marks of another process of the service are', async () => {
      const id = newId('genuine');
      await first.once(name(id, 'a'), async () => answer);
      expect(await second.once(name(id, 'a'), never)).toEqual({ result: answer, duplicate: true });
      await first.once(name(`${id} 2`), async () => undefined);
      expect(await second.once(name(`${id} 2`), never)).toEqual({ result: null, duplicate: true });
      await expect(second.once(name(id, 'b'), never)).rejects.toMatchObject({ code: 'ID_MISMATCH' });
    });

    test.each(forgeries)('%s', async (what, forge) => {
      const id = newId(what);
      await first.once(name(id, 'a'), async () => answer);
      await first.once(name(`${id} other`, 'a'), async () => ({ paid: 7 }));
      await forge(keyOf(id), keyOf(`${id} other`));
      for (const guard of [first, second]) {
        const again = guard.once(name(id, 'a'), never);
        if (kind === 'backed') expect(await again).toEqual({ result: answer, duplicate: true });
        else
          await expect(again).rejects.toMatchObject({
            name: 'LeaseForgedError',
            code: 'LEASE_FORGED',
            retryable: false,
            message: expect.stringContaining(keyOf(id)),
          });
      }
    });

    test('a result that was forged before the work', async () => {
      const id = newId('invented');
      await forger.hset(keyOf(id), { s: 'done', f: '1', r: '{"paid":0}', m: `1.${'A'.repeat(43)}` });
      const asked = first.once(name(id), async () => answer);
      if (kind === 'redis') await expect(asked).rejects.toMatchObject({ code: 'LEASE_FORGED' });
      else expect(await asked).toEqual({ result: answer, duplicate: false });
      const again = second.once(name(id), never);
      if (kind === 'redis') await expect(again).rejects.toMatchObject({ code: 'LEASE_FORGED' });
      else expect(await again).toEqual({ result: answer, duplicate: true });
    });

    test.each([
      ['a text', (key: string) => forger.set(key, 'many')],
      ['a list', (key: string) => forger.rpush(key, '1')],
      ['the greatest number', (key: string) => forger.set(key, '9223372036854775807')],
    ])('a fence that is %s', async (what, forge) => {
      const id = newId(`fence ${what}`);
      await forge(`${keyOf(id)}:fence`);
      const asked = first.once(name(id), async () => answer);
      if (kind === 'redis') await expect(asked).rejects.toMatchObject({ code: 'LEASE_FORGED' });
      else expect(await asked).toEqual({ result: answer, duplicate: false });
    });

    test('a mark that is overwritten while the work runs does not become its result', async () => {
      const id = newId('meanwhile');
      const ran = first.once(name(id), async () => {
        const fence = await forger.hget(keyOf(id), 'f');
        await forger.hset(keyOf(id), { s: 'done', f: fence ?? '', r: '{"paid":0}' });
        return answer;
      });
      expect(await ran).toEqual({ result: answer, duplicate: false });
      const again = second.once(name(id), never);
      if (kind === 'redis') await expect(again).rejects.toMatchObject({ code: 'LEASE_FORGED' });
      else expect(await again).toEqual({ result: answer, duplicate: true });
    });

    test('marks survive the rotation of their key, but not its removal', async () => {
      const id = newId('rotated');
      await first.once(name(id), async () => answer);
      await fixture.database.pool.query(
        `update waybill.guard_mac_key set created_at = created_at - interval '31 days'`,
      );
      const third = await process(kind);
      await third.once(name(`${id} new`), async () => answer);
      const macs = await Promise.all([id, `${id} new`].map((one) => forger.hget(keyOf(one), 'm')));
      expect(new Set(macs.map((mac) => mac?.split('.')[0])).size).toBe(2);
      expect(await third.once(name(id), never)).toEqual({ result: answer, duplicate: true });
      await fixture.database.pool.query('delete from waybill.guard_mac_key');
      const fourth = await process(kind);
      const again = fourth.once(name(id), never);
      if (kind === 'redis') await expect(again).rejects.toMatchObject({ code: 'LEASE_FORGED' });
      else expect(await again).toEqual({ result: answer, duplicate: true });
    });
  });

  test('a lease without a holder stops no work when PostgreSQL decides', async () => {
    const guard = await process('backed');
    await forger.hset(keyOf('stopped'), { s: 'leased', f: '99' });
    expect(await guard.once(name('stopped'), async () => answer)).toEqual({
      result: answer,
      duplicate: false,
    });
    expect(await guard.once(name('stopped'), never)).toEqual({ result: answer, duplicate: true });
  });

  test('a service counts forgeries and logs them, and never accepts the mark of another service', async () => {
    const lines: string[] = [];
    const error = (line: string): void => void lines.push(line);
    const logger = { debug() {}, info() {}, warn() {}, error };
    const database = { connectionString: fixture.url };
    const of = (group: string) => new Waybill(group, { database, group, redis: redis().url, logger });
    const [shop, bank] = [of('shop'), of('bank')];
    try {
      const payment = { scope: 'payment', id: '1' };
      await ready(shop, bank);
      await shop.guards.requests.once(payment, async () => answer);
      await bank.guards.requests.once(payment, async () => ({ paid: 7 }));
      const keys = (await forger.keys('*payment*')).filter((key) => !key.endsWith(':fence'));
      const [ofShop = '', ofBank = ''] = ['shop', 'bank'].map((group) =>
        keys.find((key) => key.includes(`${group}/`)),
      );
      await forger.copy(ofShop, ofBank, 'REPLACE');
      await expect(bank.guards.requests.once(payment, never)).rejects.toMatchObject({ code: 'LEASE_FORGED' });
      expect(await shop.guards.requests.once(payment, never)).toEqual({ result: answer, duplicate: true });
      expect([shop.guards.forgedLeases, bank.guards.forgedLeases]).toEqual([0, 1]);
      expect(lines).toEqual([expect.stringContaining(ofBank)]);
    } finally {
      await Promise.all([shop.stop(), bank.stop()]);
    }
  });

  /** Resolves once they are connected to Redis. */
  async function ready(...services: readonly Waybill[]): Promise<void> {
    for (const { guards } of services)
      for (let again = true; again;)
        again = await guards.leases
          .once({ scope: 'ready', id: '1' }, async () => 1)
          .then(
            () => false,
            () => true,
          );
  }

  test('a Redis error does not contain what was sent', async () => {
    const client = new Redis(redis().url);
    const store = new RedisLeaseStore(client, {}, { seal: new LeaseSeal(fixture.database.session, 'x') });
    await forger.set('waybill:guard:{none}', 'text');
    const claim = await store.claim('e', null, 10_000);
    if (claim.state !== 'claimed') throw new Error('not claimed');
    await forger.set('waybill:guard:{ne}', 'text');
    const refused = await store
      .finish('e', claim.fence, '"4111 1111"', 10_000, null)
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'LEASE_FORGED' });
    expect(inspect(refused, { depth: 9, showHidden: true })).not.toContain('4111');
    client.disconnect();
  });
});
