import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { LogEngine, ReadyBatch, SourcePass } from '@waybill/log';
import type { Relay } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;

beforeEach(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
});
afterEach(async () => {
  await service.close();
  await bus.close();
});

/** The log, with something done around each hand-over. */
function around(
  work: (pass: SourcePass, handOver: () => Promise<void>) => Promise<void>,
  log: LogEngine = service.log,
): LogEngine {
  return new Proxy(log, {
    get(target, property) {
      if (property === 'handOver')
        return (pass: SourcePass, batches: readonly ReadyBatch[]) =>
          work(pass, () => target.handOver(pass, batches));
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const newestPass = (): Promise<number> => service.value('select max(n)::int from waybill.relay_intent');
const sourceRows = async (): Promise<{ n: number; token: string }[]> => {
  const { rows } = await bus.database.pool.query<{ n: string; token: string }>(
    'select n, token from waybill_bus.log_source order by n',
  );
  return rows.map(({ n, token }) => ({ n: Number(n), token }));
};

/** What must hold after every run: see the reference's list of invariants. */
async function expectOnce(numbers: readonly number[], topic = 'orders'): Promise<void> {
  const { numbers: found, ids } = await bus.read(topic);
  expect(found.toSorted((a, b) => a - b)).toEqual([...numbers].toSorted((a, b) => a - b));
  expect(new Set(ids).size).toBe(ids.length);
  const passes = await sourceRows();
  expect(passes.map(({ n }) => n)).toEqual(upTo(passes.length).map((n) => n + 1));
  const { rows: own } = await service.database.pool.query<{ n: string; token: string }>(
    'select n, token from waybill.relay_intent where n > 0 order by n, version',
  );
  for (const { n, token } of passes)
    expect(own.filter((row) => Number(row.n) === n).map((row) => row.token)).toContain(token);
}

describe('messages of a service with a database of its own', () => {
  test('are in the log once and in order', async () => {
    const relay = service.relay();
    for (const n of upTo(50)) {
      await service.publish([n]);
      if (n % 3 === 0) await drain(relay);
    }
    await drain(relay);
    expect((await bus.read()).numbers).toEqual(upTo(50));
    await expectOnce(upTo(50));
  });

  test('of several services share one log', async () => {
    const services = [service, await OwnService.create(bus), await OwnService.create(bus)];
    try {
      await Promise.all(
        services.map(async (each, index) => {
          const relay = each.relay();
          for (const n of upTo(20)) {
            await each.publish([index * 1_000 + n], 'orders', `k${index}`);
            await relay.runOnce();
          }
          await drain(relay);
        }),
      );
      const { numbers } = await bus.read();
      for (const index of [0, 1, 2])
        expect(numbers.filter((n) => Math.floor(n / 1_000) === index)).toEqual(
          upTo(20).map((n) => index * 1_000 + n),
        );
      expect(numbers).toHaveLength(60);
    } finally {
      await Promise.all(services.slice(1).map((each) => each.close()));
    }
  });

  test('reach the log when they are committed here, and not before', async () => {
    const ahead: boolean[] = [];
    const log = around(async (pass, handOver) => {
      ahead.push(pass.n > (await newestPass()));
      await handOver();
    });
    const relay = service.relay({}, { log });
    for (const n of upTo(3)) {
      await service.publish([n]);
      await drain(relay);
    }
    expect(ahead).toEqual([false, false, false]);
  });

  test('move in windows and in passes of limited size', async () => {
    await service.publish(upTo(500));
    await drain(service.relay({ smallDifferenceRows: 20, windowRows: 30, passBytes: 4_096 }));
    expect((await bus.read()).numbers).toEqual(upTo(500));
    await expectOnce(upTo(500));
  });

  test('whose commit is late are neither skipped nor waited for', async () => {
    const relay = service.relay();
    const late = await service.database.pool.connect();
    await late.query('begin');
    await service.outbox.publish(late, { topic: 'orders', key: 'k', payload: { n: 0 } });
    await service.publish([1, 2]);
    await drain(relay);
    expect((await bus.read()).numbers).toEqual([1, 2]);
    await late.query('commit');
    late.release();
    await drain(relay);
    await expectOnce([0, 1, 2]);
  });
});

describe('a hand-over whose answer is lost', () => {
  test.each(['before it took effect', 'after it took effect'] as const)('%s', async (when) => {
    let lost = 0;
    const log = around(async (_pass, handOver) => {
      lost += 1;
      if (lost % 2 === 0) return handOver();
      if (when === 'after it took effect') await handOver();
      throw new Error('the connection is gone');
    });
    const relay = service.relay({}, { log });
    // As its service does, it goes on after an error: an answer may also be lost of a pass that is appended again.
    const goesOn = (): Promise<boolean> =>
      relay.runOnce().then(
        (result) => result === 'again',
        ({ message }: Error) => {
          expect(message).toBe('the connection is gone');
          return true;
        },
      );
    for (const n of upTo(20)) {
      await service.publish([n]);
      await goesOn();
    }
    do {
      while (await goesOn());
      await relay.drain();
    } while (await goesOn());
    expect(lost).toBeGreaterThan(10);
    expect((await bus.read()).numbers).toEqual(upTo(20));
    await expectOnce(upTo(20));
  });

  test('is found out without another message', async () => {
    let isLost = true;
    const relay = service.relay(
      {},
      {
        log: around(async (_pass, handOver) => {
          if (isLost) throw new Error('the connection is gone');
          await handOver();
        }),
      },
    );
    await service.publish([1]);
    await relay.runOnce();
    await relay.drain();
    isLost = false;
    await waitUntil(
      async () => {
        await relay.runOnce();
        return (await bus.read()).numbers.length === 1;
      },
      { describe: 'the pass is in the log' },
    );
    await expectOnce([1]);
  });
});

test('a pass that is appended again has its messages, and not those that it has scheduled', async () => {
  let isLost = true;
  const log = around(async (_pass, handOver) => {
    if (isLost) throw new Error('the connection is gone');
    await handOver();
  });
  const relay = service.relay({}, { log });
  await service.publish([1]);
  await service.transaction((client) =>
    service.outbox.publish(client, { topic: 'orders', payload: { n: 9 }, delayMs: 3_600_000 }),
  );
  await relay.runOnce();
  await relay.drain();
  isLost = false;
  await drain(relay);
  await expectOnce([1]);
});

test('a relay gets four passes ahead of the answers of the log, and no further', async () => {
  const events: string[] = [];
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const log = around(async (_pass, handOver) => {
    await held;
    await handOver();
    events.push('answered');
  });
  const relay = service.relay({}, { log });
  for (const n of [0, 1, 2]) {
    await service.publish([n]);
    await relay.runOnce();
  }
  await service.publish([3]);
  const fourth = relay.runOnce().then(() => events.push('the fourth pass has ended'));
  await waitUntil(async () => (await newestPass()) === 4, { describe: 'the fourth pass is committed' });
  // Time in which it would end.
  for (const n of [4, 5, 6]) await service.publish([n]);
  release();
  await fourth;
  expect(events[0]).toBe('answered');
  expect(events).toContain('the fourth pass has ended');
  await drain(relay);
  await expectOnce(upTo(7));
});

describe('another relay of the service', () => {
  test('goes on from a pass that the first has stored and never sent', async () => {
    const dead = service.relay({}, { log: around(() => new Promise(() => {})) });
    await service.publish(upTo(5));
    await dead.runOnce();
    expect(await newestPass()).toBe(1);
    expect((await bus.read()).numbers).toEqual([]);
    const next = service.relay();
    await service.publish([5]);
    // It leaves a pass that is being sent to the other for a second.
    expect(await next.runOnce()).toBe('idle');
    await service.database.pool.query(`update waybill.relay_intent set made_at = made_at - interval '2 s'`);
    await drain(next);
    expect((await bus.read()).numbers).toEqual(upTo(6));
    await expectOnce(upTo(6));
  });

  test('takes turns with it', async () => {
    const relays = [service.relay(), service.relay(), service.relay()];
    const stopped = new AbortController();
    const run = async (relay: Relay): Promise<void> => {
      while (!stopped.signal.aborted) await relay.runOnce();
    };
    const running = relays.map(run);
    for (const n of upTo(60)) await service.publish([n]);
    await waitUntil(async () => (await bus.read()).numbers.length === 60, {
      describe: 'all are in the log',
      timeoutMs: 60_000,
    });
    stopped.abort();
    await Promise.all(running);
    expect((await bus.read()).numbers).toEqual(upTo(60));
    await expectOnce(upTo(60));
  });

  test('that goes on while the first asks the log is not taken for a log that went back', async () => {
    const quick = service.relay();
    let asked = 0;
    const log = new Proxy(service.log, {
      get(target, property) {
        if (property === 'askSource')
          return async (serviceId: string) => {
            const state = await target.askSource(serviceId);
            for (let n = 3 * asked; n < 3 * asked + 3; n += 1) {
              await service.publish([n]);
              await drain(quick);
            }
            asked += 1;
            return state;
          };
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    expect(await service.relay({}, { log }).runOnce()).toBe('idle');
    // Overtaken twice, it leaves the passes to the other.
    expect(asked).toBe(2);
    await expectOnce(upTo(6));
  });

  test('that stood still sends its pass late, and nothing is there twice', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const slow = service.relay({}, { log: around(async (_pass, handOver) => held.then(handOver)) });
    await service.publish([1]);
    await slow.runOnce();
    await service.database.pool.query(`update waybill.relay_intent set made_at = made_at - interval '2 s'`);
    const quick = service.relay();
    await drain(quick);
    for (const n of [2, 3, 4]) {
      await service.publish([n]);
      await drain(quick);
    }
    release();
    await slow.drain();
    await service.publish([5]);
    await drain(slow);
    expect((await bus.read()).numbers).toEqual([1, 2, 3, 4, 5]);
    await expectOnce([1, 2, 3, 4, 5]);
  });
});

describe('the outbox', () => {
  test('keeps the rows of a pass that the log has not answered for', async () => {
    const relay = service.relay({}, { log: around(() => Promise.reject(new Error('no answer'))) });
    await service.publish(upTo(3));
    await relay.runOnce();
    await relay.drain();
    const empty = 'select bool_or(waybill.outbox_empty_slot(s, 0)) from generate_series(0, 7) s';
    expect(await service.value(empty)).toBe(false);
    const working = service.relay();
    await service.database.pool.query(`update waybill.relay_intent set made_at = made_at - interval '2 s'`);
    await drain(working);
    // Answered, and written down by the next pass.
    expect(await service.value(empty)).toBe(false);
    await service.publish([3]);
    await drain(working);
    await expectOnce(upTo(4));
    expect(await service.value('select max(confirmed_n)::int from waybill.relay_intent')).toBe(1);
  });

  test('with rows missing of a pass that the log lacks stops the relay', async () => {
    const relay = service.relay({}, { log: around(() => Promise.reject(new Error('no answer'))) });
    await service.publish(upTo(3));
    await relay.runOnce();
    await relay.drain();
    await service.database.pool.query(
      'delete from waybill.outbox where id = (select min(id) from waybill.outbox)',
    );
    await service.database.pool.query(`update waybill.relay_intent set made_at = made_at - interval '2 s'`);
    await expect(service.relay().runOnce()).rejects.toMatchObject({ code: 'LOG_WENT_BACK' });
    expect((await bus.read()).numbers).toEqual([]);
  });
});

describe('the log', () => {
  let pass: SourcePass;
  let batches: readonly ReadyBatch[];

  beforeEach(async () => {
    const log = around(async (given, handOver) => {
      pass = given;
      await handOver();
    });
    const handOver = service.log.handOver.bind(service.log);
    service.log.handOver = async (given, given2) => {
      batches = given2;
      await handOver(given, given2);
    };
    const relay = service.relay({}, { log });
    for (const n of [1, 2, 3]) {
      await service.publish([n]);
      await drain(relay);
    }
    service.log.handOver = handOver;
  });

  test('takes a late copy for what it is', async () => {
    await service.log.handOver(pass, batches);
    expect((await bus.read()).numbers).toEqual([1, 2, 3]);
  });

  test('refuses a pass of another token, before its time, and for another epoch', async () => {
    const token = '00000000-0000-4000-8000-000000000000';
    const code = (given: Partial<SourcePass>) =>
      service.log.handOver({ ...pass, ...given }, batches).then(
        () => 'taken',
        (error: { code?: string }) => error.code,
      );
    expect(await code({ token })).toBe('SOURCE_DIVERGED');
    expect(await code({ n: 4, tokenBefore: token })).toBe('SOURCE_DIVERGED');
    expect(await code({ n: 9 })).toBe('FENCED');
    expect(await code({ n: 4, logEpoch: 2 })).toBe('FENCED');
    expect((await bus.read()).numbers).toEqual([1, 2, 3]);
  });

  test('refuses a transaction that could not see what others have committed', async () => {
    const client = await bus.database.pool.connect();
    try {
      await client.query('begin isolation level repeatable read');
      await expect(
        client.query(
          `select * from waybill_bus.log_hand_over($1, 1, 4, gen_random_uuid(), $2, '{}', '{}', '{}', '{}', '')`,
          [pass.serviceId, pass.token],
        ),
      ).rejects.toMatchObject({ code: 'WB009' });
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});

describe('a message that the log refuses', () => {
  test('is set aside, and the others go on', async () => {
    await bus.log.topics.create('secret', { partitions: 1 });
    await service.log.topics.list();
    await bus.database.pool.query(`
      create function waybill_bus.refuse() returns trigger language plpgsql as
      $$ begin raise exception using errcode = 'WB040', detail = 'secret', message = 'not yours'; end $$`);
    const secret = (await bus.log.topics.get('secret')).partitionIds[0];
    await bus.database.pool.query(
      `create trigger refuse before insert on waybill_bus.log_segment for each row
         when (new.partition_id = ${secret}) execute function waybill_bus.refuse()`,
    );
    const relay = service.relay();
    await service.transaction(async (client) => {
      for (const n of upTo(6))
        await service.outbox.publish(client, {
          topic: n % 2 === 0 ? 'orders' : 'secret',
          key: 'k',
          payload: { n },
        });
    });
    await relay.runOnce();
    await service.publish([6]);
    await drain(relay);
    await waitUntil(
      async () => {
        await drain(relay);
        return (await bus.read()).numbers.length === 4;
      },
      { describe: 'the others are in the log' },
    );
    expect((await bus.read()).numbers).toEqual([0, 2, 4, 6]);
    expect((await bus.read('secret')).numbers).toEqual([]);
    const { rows } = await service.database.pool.query(
      'select topic, reason_code from waybill.outbox_quarantine order by quarantine_id',
    );
    expect(rows).toEqual(upTo(3).map(() => ({ topic: 'secret', reason_code: 'ACCESS_DENIED' })));
    await expectOnce([0, 2, 4, 6]);
  });

  test('unless the log refuses the pass whatever it holds: then nothing is set aside, and the relay says so', async () => {
    await bus.database.pool.query(`
      create function waybill_bus.refuse() returns trigger language plpgsql as
      $$ begin raise exception using errcode = 'WB040', detail = '', message = 'not your service'; end $$;
      create trigger refuse before insert on waybill_bus.log_source for each row execute function waybill_bus.refuse()`);
    const relay = service.relay();
    await service.publish([1, 2]);
    await relay.runOnce();
    await relay.drain();
    await expect(relay.runOnce()).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
    expect(await service.value('select count(*)::int from waybill.outbox_quarantine')).toBe(0);
    await bus.database.pool.query('drop trigger refuse on waybill_bus.log_source');
    await drain(relay);
    await expectOnce([1, 2]);
  });
});
