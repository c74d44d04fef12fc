import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, Injectable, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { createProgram } from '@waybill/cli';
import {
  Erasure,
  Outbox,
  Saga,
  saga,
  SagaOperations,
  SagaNotFound,
  Sagas,
  SagaStartedBy,
  type UnclaimedEvent,
  Waybill,
  type WaybillContext,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillServer,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { cipherOf } from '../support/secret-shop.js';

interface Order {
  readonly orderId: string;
}

interface Delivered {
  readonly orderId: string;
  readonly signedBy: string;
}

interface Paid {
  readonly orderId: string;
  readonly pence: number;
}

@Saga()
class Shipment {
  readonly definition = saga<Order>('orders.ship')
    .waitForEvent<Delivered, { signedBy: string }>('shipment.delivered', {
      match: ({ orderId }) => orderId,
      by: ({ orderId }) => orderId,
      then: ({ signedBy }) => ({ signedBy }),
    })
    .build();
}

@Saga()
class Invoice {
  readonly definition = saga<Order>('orders.invoice')
    .waitForEvent<Delivered, { signedBy: string }>('shipment.delivered', {
      name: 'constructor',
      match: ({ orderId }) => orderId,
      then: ({ signedBy }) => ({ signedBy }),
    })
    .build();
}

@Saga()
class Hasty {
  readonly definition = saga<Order>('orders.hasty')
    .waitForEvent<Delivered>('shipment.delivered', {
      match: ({ orderId }) => orderId,
      timeoutMs: 100,
      onTimeout: 'continue',
    })
    .waitFor('ack')
    .build();
}

@Saga()
class Fulfilment {
  @SagaStartedBy('payments.received', {
    key: ({ orderId }: Paid) => orderId,
    when: ({ pence }) => pence !== 0,
  })
  readonly definition = saga<Paid>('orders.fulfil')
    .waitForEvent<Paid, { more: number }>('payments.received', {
      match: ({ orderId }) => orderId,
      then: ({ pence }) => ({ more: pence }),
    })
    .build();
}

@Controller()
class Listener {
  @EventPattern<string>('shipment.delivered')
  async heard(@Payload() { orderId }: Delivered, @Ctx() { transaction }: WaybillContext<pg.PoolClient>) {
    await transaction.query(`insert into effect (consumer, key) values ('listener', $1)`, [orderId]);
  }
}

@Injectable()
class LostAndFound {
  @SagaNotFound('shipment.delivered')
  async lost({ orderId }: Delivered, about: UnclaimedEvent<pg.PoolClient>): Promise<void> {
    await about.transaction.query(`insert into effect (consumer, key) values ('lost', $1)`, [
      `${orderId} ${about.waiter}`,
    ]);
    if (orderId === 'fails once' && (await failures(about.transaction)) < 1) {
      throw new Error('not yet');
    }
  }
}

const failures = async (client: pg.PoolClient): Promise<number> => {
  const { rows } = await client.query<{ n: number }>(`select nextval('tries')::int - 1 as n`);
  return rows[0]?.n ?? 0;
};

let fixture: Fixture;
let apps: INestMicroservice[];

beforeEach(async () => {
  fixture = await Fixture.create({ 'shipment.delivered': {}, 'payments.received': {} });
  await fixture.database.pool.query('create sequence tries');
  apps = [];
});

afterEach(async () => {
  await Promise.all(apps.map((app) => app.close()));
  await fixture.close();
});

const start = async (
  providers: Type[],
  options: Partial<WaybillModuleOptions> = {},
  controllers: Type[] = [],
): Promise<INestMicroservice> => {
  const sagas = { pollMs: 50, ...options.sagas };
  const database = { connectionString: fixture.url };
  const module = await Test.createTestingModule({
    imports: [WaybillModule.forRoot({ group: 'orders', ...options, database, sagas })],
    providers,
    controllers,
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  apps.push(app);
  await app.listen();
  return app;
};

const begin = async (
  app: INestMicroservice,
  provider: Type<{ definition: unknown }>,
  key: string,
  orderId = key,
) => {
  const { id } = await fixture.transaction((client) =>
    app
      .get(Sagas)
      .start(client, app.get(provider).definition as Shipment['definition'], { key, data: { orderId } }),
  );
  return id;
};

const deliver = (app: INestMicroservice, orderId: string, signedBy = 'ada', subject?: string) =>
  fixture.transaction((client) =>
    app.get(Outbox).publish(client, {
      topic: 'shipment.delivered',
      key: orderId,
      payload: { orderId, signedBy },
      ...(subject && { subject }),
    }),
  );

const count = (text: string): Promise<number> => fixture.value(`select count(*)::int from ${text}`);

const until = (text: string, n: number): Promise<void> =>
  waitUntil(async () => (await count(text)) === n, { describe: `${n} of ${text}` });

const signedBy = async (app: INestMicroservice, id: string): Promise<unknown> =>
  (await app.get(Sagas).outcome(id)).data;

const command = async (...words: string[]): Promise<string> => {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  await program.parseAsync(['node', 'waybill', ...fixture.urlArguments, 'saga', ...words]);
  return printed;
};

test('an event may come after or before its saga, and reaches each waiting type and the handler of its topic', async () => {
  const app = await start([Shipment, Invoice], {}, [Listener]);
  const first = await begin(app, Shipment, 'A-1');
  await until('waybill.saga_event_wait', 1);
  await deliver(app, 'A-1', 'bob');
  expect(await signedBy(app, first)).toEqual({ orderId: 'A-1', signedBy: 'bob' });
  // The other type was not waiting for it yet.
  await until('waybill.saga_event', 1);
  const second = await begin(app, Invoice, 'A-1');
  expect(await signedBy(app, second)).toEqual({ orderId: 'A-1', signedBy: 'bob' });
  await until(`effect where consumer = 'listener'`, 1);
  expect(await count('waybill.saga_event')).toBe(0);
  expect(await count('waybill.saga_event_wait')).toBe(0);
});

test('many events and sagas come at once, in two processes: each pair is matched once', async () => {
  const [one, other] = [await start([Shipment]), await start([Shipment])];
  const keys = Array.from({ length: 60 }, (_, n) => `R-${n}`);
  const ids = await Promise.all(
    keys.map(async (key, n) => {
      const [id] = await Promise.all([
        begin(n % 2 === 0 ? one : other, Shipment, key),
        deliver(n % 3 === 0 ? other : one, key),
      ]);
      return id;
    }),
  );
  const outcomes = await Promise.all(ids.map((id) => one.get(Sagas).outcome(id)));
  expect(outcomes.map(({ data }) => (data as { signedBy?: string }).signedBy)).toEqual(keys.map(() => 'ada'));
  expect(await count('waybill.saga_event')).toBe(0);
  expect(await count('waybill.saga_event_wait')).toBe(0);
  expect(await count('waybill.saga_ignored')).toBe(0);
});

test.each(['repeatable read', 'serializable'])(
  'a saga started in a %s transaction gets the event that it could not see',
  async (level) => {
    const app = await start([Shipment]);
    const client = await fixture.database.pool.connect();
    try {
      await client.query(`begin isolation level ${level}`);
      await client.query('select from waybill.saga_event');
      await deliver(app, 'A-1', 'bob');
      await until('waybill.saga_event', 1);
      const { definition } = app.get(Shipment);
      const { id } = await app.get(Sagas).start(client, definition, { key: 'A-1', data: { orderId: 'A-1' } });
      await client.query('commit');
      expect(await signedBy(app, id)).toEqual({ orderId: 'A-1', signedBy: 'bob' });
    } finally {
      client.release(client.getTransactionStatus() !== 'I');
    }
    expect(await count('waybill.saga_event')).toBe(0);
    expect(await count('waybill.saga_event_wait')).toBe(0);
  },
);

test('of two sagas with the same value the one that has waited longest gets the event', async () => {
  const app = await start([Shipment]);
  const first = await begin(app, Shipment, 'first', 'A-1');
  const second = await begin(app, Shipment, 'second', 'A-1');
  await deliver(app, 'A-1', 'bob');
  expect(await signedBy(app, first)).toMatchObject({ signedBy: 'bob' });
  expect((await app.get(SagaOperations).show(second)).state).toBe('RUNNING');
  await deliver(app, 'A-1', 'eve');
  expect(await signedBy(app, second)).toMatchObject({ signedBy: 'eve' });
});

test('an event after the time-out of its step is kept for others, and reaches no saga', async () => {
  const app = await start([Hasty]);
  const id = await begin(app, Hasty, 'A-1');
  await until('waybill.saga_event_wait', 0);
  await waitUntil(
    async () => (await app.get(SagaOperations).show(id)).instance.steps['ack']?.status === 'running',
    { describe: 'the step has timed out' },
  );
  await deliver(app, 'A-1');
  await until('waybill.saga_event', 1);
  expect(await command('events')).toMatch(/orders\.hasty\/shipment\.delivered@shipment\.delivered/);
});

test('a saga that has ended waits for no event', async () => {
  const app = await start([Shipment]);
  const id = await begin(app, Shipment, 'A-1');
  expect(await count('waybill.saga_event_wait')).toBe(1);
  expect(await command('events')).toMatch(new RegExp(`step.*A-1.*${id}`));
  await fixture.transaction((client) => app.get(Sagas).cancel(client, id, 'not wanted'));
  expect((await app.get(Sagas).outcome(id)).state).toBe('CANCELLED');
  expect(await count('waybill.saga_event_wait')).toBe(0);
});

test('an event starts a saga; a second one with its key moves it on, and one that may not start a saga does not', async () => {
  const app = await start([Fulfilment]);
  const pay = (pence: number, key: string | null = 'A-1') =>
    fixture.transaction((client) =>
      app
        .get(Outbox)
        .publish(client, { topic: 'payments.received', key, payload: { orderId: 'A-1', pence } }),
    );
  await pay(0, 'other');
  await pay(5);
  const ref = { saga: { type: 'orders.fulfil' }, key: 'A-1' };
  await until('waybill.saga', 1);
  // It did not count for its own wait.
  expect((await app.get(SagaOperations).list())[0]).toMatchObject({ state: 'RUNNING', key: 'A-1' });
  await pay(7);
  const outcome = await app.get(Sagas).outcome(ref);
  expect(outcome).toMatchObject({ state: 'COMPLETED', data: { orderId: 'A-1', pence: 5, more: 7 } });
  expect(await count('waybill.saga')).toBe(0);
});

test('an event with an invalid key becomes a dead letter, and stops no other message', async () => {
  const retry = { immediateAttempts: 0, delayMs: 20, maxAttempts: 2 };
  const app = await start([Fulfilment], { sagas: { events: { retry } } });
  const pay = (payload: unknown) =>
    fixture.transaction((client) =>
      app.get(Outbox).publish(client, { topic: 'payments.received', key: 'same', payload }),
    );
  await pay({ orderId: 17, pence: 3 });
  await pay({ orderId: 'A\u0000', pence: 3 });
  await pay({ orderId: 'good', pence: 3 });
  await until('waybill.saga', 1);
  await waitUntil(async () => (await app.get(Waybill).deadLetters.list()).length === 2, {
    describe: 'two dead letters',
  });
  expect((await app.get(Waybill).deadLetters.list()).map(({ group }) => group)).toEqual([
    'orders.sagas',
    'orders.sagas',
  ]);
});

test('an event without a correlation value is skipped, and counted', async () => {
  const app = await start([Shipment, Invoice]);
  const odd = (key: string | null, orderId: unknown) =>
    fixture.transaction((client) =>
      app.get(Outbox).publish(client, { topic: 'shipment.delivered', key, payload: { orderId } }),
    );
  await odd(null, 'with\u0000nul');
  await odd(null, 17);
  await odd('x'.repeat(300), null);
  await waitUntil(async () => app.get(Waybill).sagas.skippedEvents === 6, { describe: 'six are skipped' });
  await odd('constructor', '__proto__');
  await until('waybill.saga_event', 2);
  expect(await signedBy(app, await begin(app, Shipment, '__proto__'))).toMatchObject({
    orderId: '__proto__',
  });
  expect(await signedBy(app, await begin(app, Invoice, 'constructor'))).toMatchObject({
    orderId: 'constructor',
  });
});

test('an event without a saga goes to its handler, in one transaction with its removal', async () => {
  const app = await start([Shipment, LostAndFound], { sagas: { events: { keepMs: 50 } } });
  await deliver(app, 'A-1');
  await deliver(app, 'fails once');
  await until(`effect where consumer = 'lost'`, 2);
  await until('waybill.saga_event', 0);
  const { rows } = await fixture.database.pool.query('select key from effect order by key');
  const waiter = 'orders.ship/shipment.delivered@shipment.delivered';
  expect(rows).toEqual([{ key: `A-1 ${waiter}` }, { key: `fails once ${waiter}` }]);
  expect(await fixture.value(`select last_value::int from tries`)).toBe(2);
});

test('an event without a saga and without a handler is kept for operators', async () => {
  const app = await start([Shipment], { sagas: { events: { keepMs: 50 } } });
  await deliver(app, 'A-1', 'bob');
  await until('waybill.saga_ignored', 1);
  expect(await app.get(SagaOperations).ignored()).toMatchObject([
    {
      sagaId: null,
      kind: 'event',
      name: 'shipment.delivered',
      payload: { orderId: 'A-1', signedBy: 'bob' },
      why: 'no saga waited for it as orders.ship/shipment.delivered@shipment.delivered with A-1',
    },
  ]);
  expect(await command('ignored', '--payload')).toMatch(/shipment\.delivered .*no saga waited.*bob/);
});

test('the waiting events of an erased subject are gone, and its saga waits for the next event', async () => {
  const cipher = cipherOf('k1');
  const app = await start([Shipment], { cipher });
  await deliver(app, 'A-1', 'bob', 'customer-17');
  await until('waybill.saga_event', 1);
  await app.get(Erasure).erase({ subject: 'customer-17' }, { by: 'ada', reason: 'asked to' });
  const id = await begin(app, Shipment, 'A-1');
  expect(await count('waybill.saga_event')).toBe(0);
  await deliver(app, 'A-1', 'eve');
  expect(await signedBy(app, id)).toMatchObject({ signedBy: 'eve' });
});
