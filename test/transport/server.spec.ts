import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  getWaybillToken,
  Outbox,
  Waybill,
  WaybillClient,
  type WaybillContext,
  WaybillModule,
  WaybillServer,
  waybillTransport,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { lastValueFrom } from 'rxjs';
import { Applications } from './application.js';

type Context = WaybillContext<pg.PoolClient>;

const note = (context: Context, consumer: string): Promise<unknown> =>
  context.transaction.query('insert into effect (consumer, topic, n) values ($1, $2, $3)', [
    consumer,
    context.topic,
    context.offset,
  ]);

@Controller()
class Wild {
  @EventPattern<string>('orders.*')
  one(@Ctx() context: Context): Promise<unknown> {
    return note(context, 'orders.*');
  }

  @EventPattern<string>('orders.paid')
  exact(@Ctx() context: Context): Promise<unknown> {
    return note(context, 'orders.paid');
  }

  @EventPattern<string>('orders.eu.#')
  some(@Ctx() context: Context): Promise<unknown> {
    return note(context, 'orders.eu.#');
  }

  @EventPattern<string>('#')
  all(@Ctx() context: Context): Promise<unknown> {
    return note(context, '#');
  }

  @MessagePattern<string>('*.ask')
  ask(@Payload() payload: unknown, @Ctx() context: Context): unknown {
    return { payload, topic: context.topic };
  }
}

@Controller()
class Payments {
  @EventPattern<string>('orders.placed', waybillTransport('payments'))
  placed(@Ctx() context: Context): Promise<unknown> {
    return note(context, 'payments');
  }
}

@Controller()
class Stock {
  @EventPattern<string>('orders.placed', waybillTransport('stock'))
  placed(@Ctx() context: Context): Promise<unknown> {
    return note(context, 'stock');
  }

  @EventPattern<string>('orders.paid')
  paid(@Ctx() context: Context): Promise<unknown> {
    return note(context, 'both');
  }
}

let apps: Applications;
const running: INestMicroservice[] = [];
beforeEach(async () => {
  apps = await Applications.create('orders.placed', 'orders.paid', 'orders.eu.fr.placed', 'stock.ask');
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
  await apps.close();
});

const seen = (): Promise<string[]> =>
  apps.fixture.database.pool
    .query<{ line: string }>(`select topic || ' by ' || consumer as line from effect order by 1`)
    .then(({ rows }) => rows.map(({ line }) => line));

describe('handlers with patterns', () => {
  test('get the topics that match; a topic goes to its most specific handler', async () => {
    await apps.start('wild', [Wild]);
    for (const topic of ['orders.placed', 'orders.paid', 'orders.eu.fr.placed', 'stock.ask'])
      await apps.fixture.publish(1, 'k', topic);
    await waitUntil(async () => (await seen()).length === 3, { describe: 'three effects' });
    expect(await seen()).toEqual([
      'orders.eu.fr.placed by orders.eu.#',
      'orders.paid by orders.paid',
      'orders.placed by orders.*',
    ]);
  });

  test('consume topics that are created later, from their beginning, without a restart', async () => {
    await apps.start('wild', [Wild], {
      consumer: { leaseMs: 20_000, heartbeatMs: 1_000, startFrom: 'latest', pollMaxMs: 50 },
    });
    const other = await apps.start('wild', [Wild], { relay: false });
    await apps.fixture.topics.create('orders.shipped', { partitions: 4 });
    for (let n = 0; n < 20; n += 1) await apps.fixture.publish(n, `k${n}`, 'orders.shipped');
    await waitUntil(async () => (await seen()).length === 20, {
      describe: 'the new topic is consumed',
      timeoutMs: 10_000,
    });
    expect(new Set(await seen())).toEqual(new Set(['orders.shipped by orders.*']));
    await waitUntil(() => (other.get(Waybill).consumerStatus?.partitions ?? 0) > 0, {
      describe: 'its partitions are shared',
    });
  });

  test('do not get the replies that Waybill itself sends', async () => {
    const app = await apps.start('wild', [Wild]);
    const asked = lastValueFrom(app.get(WaybillClient).send('stock.ask', 7));
    expect(await asked).toEqual({ payload: 7, topic: 'stock.ask' });
    // A topic created after the reply topic, and found, shows that both were considered.
    await apps.fixture.topics.create('orders.late');
    const subscribed = (): Promise<string[]> =>
      apps.fixture.value('select topics from waybill_bus.group_member');
    await waitUntil(async () => (await subscribed()).includes('orders.late'), {
      describe: 'the late topic is subscribed',
    });
    expect((await subscribed()).toSorted()).toEqual([
      'orders.eu.fr.placed',
      'orders.late',
      'orders.paid',
      'orders.placed',
      'stock.ask',
    ]);
    expect((await apps.fixture.topics.list()).map(({ name }) => name)).toContain('wild.replies');
  });

  test('are refused at boot when they are not valid', async () => {
    @Controller()
    class Wrong {
      @EventPattern<string>('orders.>')
      never(): void {}
    }
    await expect(apps.start('wrong', [Wrong])).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      problems: [expect.stringContaining('"orders.>" is not a topic pattern')],
    });
  });
});

test('two handlers of a pattern, one of which replies, are refused at boot, in either order', async () => {
  @Controller()
  class Replies {
    @MessagePattern<string>('stock.ask')
    answer(): number {
      return 1;
    }
  }
  @Controller()
  class Hears {
    @EventPattern<string>('stock.ask')
    onReply(): void {}
  }
  for (const controllers of [
    [Replies, Hears],
    [Hears, Replies],
    [Replies, class extends Replies {}],
  ] as Type[][]) {
    Controller()(controllers[1] as Type);
    await expect(apps.start('wrong', controllers)).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      problems: [
        'stock.ask has two handlers and one of them replies: a topic with a replying handler can have only that one',
      ],
    });
  }
});

test('two servers in one application consume as two groups, each with its own handlers', async () => {
  const shared = {
    database: { connectionString: apps.fixture.url },
    consumer: { leaseMs: 20_000, heartbeatMs: 200 },
  };
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({ ...shared, name: 'payments', group: 'payments' }),
      WaybillModule.forRoot({ ...shared, name: 'stock', group: 'stock', relay: false }),
    ],
    controllers: [Payments, Stock],
  }).compile();
  module.useLogger(false);
  const app = module.createNestApplication();
  const servers = ['payments', 'stock'].map((name) =>
    module.get<WaybillServer>(getWaybillToken(WaybillServer, name)),
  );
  for (const strategy of servers) app.connectMicroservice({ strategy }, { inheritAppConfig: true });
  try {
    await app.startAllMicroservices();
    await app.init();
    await apps.fixture.publish(1, 'k', 'orders.placed');
    await apps.fixture.publish(1, 'k', 'orders.paid');
    await waitUntil(async () => (await seen()).length === 4, { describe: 'four effects' });
    // A handler that names no instance is bound to both, as in Nest.
    expect(await seen()).toEqual([
      'orders.paid by both',
      'orders.paid by both',
      'orders.placed by payments',
      'orders.placed by stock',
    ]);
    expect(servers[1]?.unwrap()).toBe(module.get(getWaybillToken(Waybill, 'stock')));
  } finally {
    await app.close();
  }
});

test("Nest's hooks run once around each delivery, and a hook that fails is a failed attempt", async () => {
  @Controller()
  class Hooked {
    static calls = 0;
    @EventPattern<string>('orders.placed')
    placed(): void {
      Hooked.calls += 1;
      if (Hooked.calls === 1) throw new Error('once');
    }
  }
  const app = await apps.start('hooked', [Hooked]);
  const server = app.get(WaybillServer);
  const told: string[] = [];
  let isDown = true;
  server.setOnProcessingStartHook(async (transport, context, done) => {
    const { attempt } = context as Context;
    told.push(`${String(transport)} begins ${attempt}`);
    await Promise.resolve();
    if (isDown) {
      isDown = false;
      throw new Error('the tracer is down');
    }
    await done();
  });
  server.setOnProcessingEndHook((_, context) => told.push(`ends ${(context as Context).attempt}`));
  await apps.fixture.publish(1, 'k', 'orders.placed');
  await waitUntil(() => told.length === 5, { describe: 'there are three attempts, two of which ran' });
  const begins = (attempt: number): string => `${String(waybillTransport())} begins ${attempt}`;
  expect(told).toEqual([begins(1), begins(2), 'ends 2', begins(3), 'ends 3']);
  expect(Hooked.calls).toBe(2);
});

test('the server reports when it is connected, rebalances, drains and has stopped', async () => {
  const app = await apps.start('states', [Payments, Stock], {
    topics: { wide: { partitions: 2 } },
  });
  const server = app.get(WaybillServer);
  const states: string[] = [];
  const drained: string[] = [];
  server.status.subscribe((state) => states.push(state));
  server.on('draining', () => void drained.push('draining'));
  @Controller()
  class Wide {
    @EventPattern<string>('wide')
    wide(@Ctx() context: Context): Promise<unknown> {
      return note(context, 'wide');
    }
  }
  const first = await apps.start('shared', [Wide]);
  const told: string[] = [];
  first.status.subscribe((state: string) => told.push(state));
  await waitUntil(() => first.get(Waybill).consumerStatus?.partitions === 2, {
    describe: 'it has both partitions',
  });
  await apps.start('shared', [Wide]);
  await waitUntil(() => first.get(Waybill).consumerStatus?.partitions === 1, {
    describe: 'it has given one up',
  });
  await waitUntil(() => told.at(-1) === 'connected', { describe: 'it is connected again' });
  expect(told).toEqual(['connected', 'rebalancing', 'connected']);
  await app.close();
  expect(states).toEqual(['connected', 'draining', 'disconnected']);
  expect(drained).toEqual(['draining']);
  expect(app.get(Outbox)).toBeInstanceOf(Outbox);
});
