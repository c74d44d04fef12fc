import 'reflect-metadata';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { createProgram } from '@waybill/cli';
import { type Logger, NonRetryableError, type PgDatabase } from '@waybill/kernel';
import {
  HalfMessages,
  Idempotent,
  Outbox,
  Saga,
  saga,
  SagaCommand,
  sagaCommand,
  SagaOperations,
  SagaParticipant,
  SagaRejectedError,
  Sagas,
  Waybill,
  WaybillClient,
  type WaybillContext,
  WaybillHealthIndicator,
  WaybillMetrics,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillServer,
} from '@waybill/nestjs';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { DeadLetters } from '@waybill/dead-letter';
import { OutboxQuarantine } from '@waybill/outbox/internal';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { firstValueFrom } from 'rxjs';
import { RoleBus } from '../support/role-bus.js';

const reserve = sagaCommand<{ orderId: string }, { shelf: number }>('stock.reserve');
const release = sagaCommand<{ orderId: string }>('stock.release');
const confirm = sagaCommand<{ orderId: string }>('orders.confirm');

@Saga()
class PlaceOrder {
  readonly definition = saga<{ orderId: string }>('orders.place')
    .step('reserve', {
      invoke: reserve,
      with: ({ orderId }) => ({ orderId }),
      then: ({ shelf }) => ({ shelf }),
      undo: { invoke: release, with: ({ orderId }) => ({ orderId }) },
    })
    .step('confirm', { invoke: confirm, with: ({ orderId }) => ({ orderId }) })
    .build();
}

const taken: string[] = [];
let cured = false;

/** The service `orders`: its tables are in the bus's database. */
@Controller()
class Orders {
  @EventPattern<string>('orders.placed')
  async placed(@Payload() { n }: { n: number }, @Ctx() ctx: WaybillContext<pg.PoolClient>): Promise<void> {
    if (n === 13 && !cured) throw new NonRetryableError('thirteen');
    await ctx.transaction.query('select 1');
    taken.push(`orders ${n}`);
  }

  @MessagePattern<string>('orders.confirm')
  confirm(@Payload() { orderId }: { orderId: string }): Record<never, never> {
    if (orderId === 'A-2') throw new SagaRejectedError('not this one');
    return {};
  }
}

/** The service `stock`, in its own database. */
@SagaParticipant()
class Stock {
  @SagaCommand(reserve)
  async reserve(
    @Payload() { orderId }: { orderId: string },
    @Ctx() ctx: WaybillContext<pg.PoolClient>,
  ): Promise<{ shelf: number }> {
    await ctx.saga?.hold(`order:${orderId}`);
    taken.push(`reserve ${orderId}`);
    return { shelf: 7 };
  }

  @SagaCommand(release)
  release(@Payload() { orderId }: { orderId: string }): void {
    taken.push(`release ${orderId}`);
  }
}

@Controller()
class Shelves {
  @Idempotent()
  @MessagePattern<string>('stock.count')
  count(@Payload() { shelf }: { shelf: number }): number {
    return shelf * 2;
  }

  @EventPattern<string>('stock.counted')
  counted(@Payload() { n }: { n: number }): void {
    taken.push(`stock counted ${n}`);
  }
}

let bus: RoleBus;
let url: string;
let ownUrl: string;
const complaints: string[] = [];
const apps = new Map<string, INestMicroservice>();

async function start(
  login: string,
  parts: { providers?: Type[]; controllers?: Type[] },
  options: Partial<WaybillModuleOptions> = {},
): Promise<INestMicroservice> {
  const complain = (line: string): void => void complaints.push(`${login}: ${line}`);
  const logger: Logger = { debug() {}, info() {}, warn: complain, error: complain };
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString: bus.urlOf(login, url) },
        group: login,
        relay: false,
        logger,
        ...options,
      }),
    ],
    ...parts,
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  apps.set(login, app);
  await app.listen();
  return app;
}

const app = (login: string): INestMicroservice => apps.get(login) as INestMicroservice;

beforeAll(async () => {
  bus = await RoleBus.create();
  url = await bus.database('whole_flow');
  ownUrl = await bus.database('whole_flow_own', 'service');
  const { topics } = new PostgresLogEngine(bus.as('owner', url));
  for (const topic of [
    'orders.placed',
    'orders.confirm',
    'stock.reserve',
    'stock.release',
    'stock.count',
    'stock.counted',
    'payments',
  ])
    await topics.create(topic, { partitions: 2 });
  await bus.grant('relay', url, { roles: ['service'] });
  await bus.grant('api', url, { roles: ['publisher'], topics: ['orders.placed'] });
  await bus.grant('orders', url, {
    roles: ['service'],
    topics: ['orders.*', 'stock.*'],
    consume: ['orders.*'],
    groups: ['orders'],
  });
  await bus.grant('stock', url, { roles: ['service'], part: 'bus', topics: ['stock.*'], groups: ['stock'] });
  await bus.grant('stock', ownUrl, { roles: ['service'], part: 'service' });
  await bus.grant('monitor', url, { roles: ['monitor'] });
  await bus.grant('monitor', ownUrl, { roles: ['monitor'], part: 'service' });
  await bus.grant('operator', url, { roles: ['operator'] });
  await start('relay', {}, { relay: true });
  await start('orders', { providers: [PlaceOrder], controllers: [Orders] });
  await start(
    'stock',
    { controllers: [Stock, Shelves] },
    {
      relay: true,
      database: { connectionString: bus.urlOf('stock', ownUrl) },
      bus: { connectionString: bus.urlOf('stock', url) },
    },
  );
});
afterAll(async () => {
  for (const one of apps.values()) await one.close();
  await bus.close();
});

/** Runs work in a transaction of a login. */
async function transaction<T>(database: PgDatabase, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await database.pool.connect();
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } finally {
    client.release();
  }
}

const until = (what: string): Promise<unknown> =>
  waitUntil(() => taken.includes(what), {
    describe: () => `${what}; taken: ${taken.join(', ')}; complaints: ${complaints.join('\n')}`,
  });

test('what a publisher publishes reaches a service through another process’s relay, at once and later, from SQL and TypeScript', async () => {
  const api = bus.as('api', url);
  await transaction(api, async (client) => {
    await app('relay')
      .get(Outbox)
      .publish(client, { topic: 'orders.placed', key: 'a', payload: { n: 1 } });
    await app('relay')
      .get(Outbox)
      .publish(client, { topic: 'orders.placed', key: 'a', payload: { n: 2 }, delayMs: 50 });
    await client.query(`select waybill.publish('orders.placed', 'a', '{"n": 3}')`);
    await client.query(
      `select waybill.publish('orders.placed', 'a', '{"n": 4}', null, clock_timestamp() + interval '50 ms')`,
    );
  });
  for (const n of [1, 2, 3, 4]) await until(`orders ${n}`);
});

test('a request gets its reply', async () => {
  const client = app('orders').get(WaybillClient);
  expect(await firstValueFrom(client.send<number>('stock.count', { shelf: 21 }))).toBe(42);
});

test('a half message is prepared, committed and delivered', async () => {
  const halves = app('orders').get(HalfMessages);
  const half = await halves.prepare({ topic: 'orders.placed', payload: { n: 5 } });
  await halves.commit(half.id);
  await until('orders 5');
  const refused = halves.prepare({ topic: 'payments', payload: {} });
  await expect(refused).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
});

test('what a service may not publish is refused by the bus and set aside in its own database, and stops nothing else', async () => {
  const halves = app('stock').get(HalfMessages);
  for (const topic of ['payments', 'stock.counted']) {
    const half = await halves.prepare({ topic, payload: { n: 6 } });
    await halves.commit(half.id);
  }
  await until('stock counted 6');
  const own = bus.as('stock', ownUrl);
  await waitUntil(async () => (await new OutboxQuarantine(own).count()) > 0, {
    describe: 'the message that the bus refuses is quarantined',
  });
  expect(await new OutboxQuarantine(own).list()).toMatchObject([
    { topic: 'payments', code: 'ACCESS_DENIED' },
  ]);
  // The one complaint that it is meant to make.
  const made = complaints.findIndex((line) =>
    /^stock: the log refuses messages of payments: .*quarantined/.test(line),
  );
  expect(made).toBeGreaterThanOrEqual(0);
  complaints.splice(made, 1);
});

test('a saga completes, and another is compensated, with a participant in its own database', async () => {
  const sagas = app('orders').get(Sagas);
  const { definition } = app('orders').get(PlaceOrder);
  const operator = bus.as('operator', url);
  const operations = new SagaOperations({ database: operator });
  const begin = async (key: string): Promise<string> =>
    (
      await transaction(bus.as('orders', url), (client) =>
        sagas.start(client, definition, { key, data: { orderId: key } }),
      )
    ).id;
  for (const [key, state] of [
    ['A-1', 'COMPLETED'],
    ['A-2', 'COMPENSATED'],
  ] as const) {
    const id = await begin(key);
    await waitUntil(async () => (await operations.show(id)).state === state, {
      describe: () => `${key} is ${state}; taken: ${taken.join(', ')}; complaints: ${complaints.join('\n')}`,
    });
  }
  expect(taken).toEqual(expect.arrayContaining(['reserve A-1', 'reserve A-2', 'release A-2']));
});

test('an operator lists dead letters, and redrives one', async () => {
  await transaction(bus.as('api', url), (client) =>
    client.query(`select waybill.publish('orders.placed', 'b', '{"n": 13}')`),
  );
  const operator = bus.as('operator', url);
  const letters = new DeadLetters(operator, new PostgresLogEngine(operator));
  await waitUntil(async () => (await letters.count({ states: ['open'] })) === 1, {
    describe: 'it is a dead letter',
  });
  const [letter] = await letters.list({ states: ['open'] });
  expect((await letters.show(letter?.id ?? 0)).payload?.toString()).toBe('{"n": 13}');
  cured = true;
  await letters.redrive(letter?.id ?? 0, { by: 'ada', reason: 'cured' });
  await until('orders 13');
  // The audit record has the login, and the name given with it.
  const { rows } = await operator.pool.query('select actor, action from waybill.operator_action');
  expect(rows).toEqual([{ actor: bus.name('operator'), action: 'redrive' }]);
  expect(await letters.actions(letter?.id ?? 0)).toMatchObject([
    { by: 'ada', actor: bus.name('operator'), reason: 'cured' },
  ]);
  await waitUntil(async () => (await letters.count({ states: ['redriven'] })) === 1, {
    describe: 'it is redriven',
  });
});

test.each([
  ['orders', 'up', () => ({ database: { connectionString: bus.urlOf('monitor', url) } })],
  // It has a message in quarantine.
  [
    'stock',
    'degraded',
    () => ({
      database: { connectionString: bus.urlOf('monitor', ownUrl) },
      bus: { connectionString: bus.urlOf('monitor', url) },
    }),
  ],
])('a monitor reads metrics and health of %s', async (group, status, databases) => {
  const problems: string[] = [];
  const complain = (line: string): void => void problems.push(line);
  const logger: Logger = { debug() {}, info() {}, warn: complain, error: complain };
  const module = await Test.createTestingModule({
    imports: [WaybillModule.forRoot({ ...databases(), relay: false, consumer: false, logger })],
  }).compile();
  module.useLogger(false);
  await module.init();
  try {
    const text = await module.get(WaybillMetrics).text();
    expect(problems).toEqual([]);
    expect(text).toMatch(/^waybill_up 1$/m);
    expect(text).toMatch(new RegExp(`waybill_\\w+\\{[^}]*group="${group}"[^}]*\\}`));
    expect(text).not.toMatch(/_error|permission/);
    const { waybill } = await module.get(WaybillHealthIndicator).isHealthy();
    expect(waybill).toMatchObject({ status, outboxWaiting: 0, problems: [] });
  } finally {
    await module.close();
  }
});

test('doctor approves the logins', async () => {
  for (const [login, role] of [
    ['monitor', 'monitor'],
    ['operator', 'operator'],
    ['relay', 'service'],
  ] as const) {
    let printed = '';
    const program = createProgram({ write: (part) => (printed += part) });
    await program.parseAsync(
      ['--database-url', bus.urlOf(login, url), 'doctor', '--role', role, '--retry-horizon', '1h'],
      {
        from: 'user',
      },
    );
    expect([login, printed.split('\n').filter((line) => line.startsWith('problem'))]).toEqual([login, []]);
  }
});

test.each([
  ['monitor', ['topic', 'list'], /payments/],
  ['monitor', ['group', 'list'], /orders/],
  ['monitor', ['lag', 'orders'], /orders\.placed/],
  ['monitor', ['acl'], /stock/],
  ['operator', ['dlq', 'list'], /redriven/],
  ['operator', ['saga', 'list', '--state', 'COMPLETED'], /A-1/],
  ['operator', ['half', 'list', '--state', 'committed'], /committed/],
])('%s: waybill %j', async (login, args, expected) => {
  let printed = '';
  const program = createProgram({ write: (part) => (printed += part) });
  await program.parseAsync(['--database-url', bus.urlOf(login, url), ...args], { from: 'user' });
  expect(printed).toMatch(expected);
});

test('a restricted service does not relay', async () => {
  const { relay } = app('relay').get(Waybill);
  expect(relay?.moved).toBeGreaterThan(5);
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString: bus.urlOf('orders', url) },
        consumer: false,
        logger: { debug() {}, info() {}, warn() {}, error() {} },
      }),
    ],
  }).compile();
  module.useLogger(false);
  try {
    await expect(module.init()).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringMatching(/orders_\w+ is restricted.*relay: false/s),
    });
  } finally {
    await module.close();
  }
});

test('no process has logged a missing right', () => {
  expect(complaints.filter((line) => /permission|denied|may not|policy|42501/.test(line))).toEqual([]);
});
