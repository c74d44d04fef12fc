import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller, type DynamicModule, Injectable, Scope, type Type } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  AggregateRoot,
  CommandBus,
  CommandHandler,
  CqrsModule,
  EventBus,
  EventPublisher,
  EventsHandler,
  type ICommandHandler,
  type IEventHandler,
  ofType,
  Saga,
  UnhandledExceptionBus,
} from '@nestjs/cqrs';
import {
  DeadLetters,
  Outbox,
  Waybill,
  WaybillCqrsModule,
  type WaybillCqrsOptions,
  WaybillEvent,
  WaybillModule,
  WaybillServer,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { delay, map, type Observable } from 'rxjs';
import { Applications } from '../transport/application.js';

@WaybillEvent<OrderPlaced>('orders', { key: ({ orderId }) => orderId })
class OrderPlaced {
  constructor(readonly orderId: string) {}

  get label(): string {
    return `order ${this.orderId}`;
  }
}

class OrderCancelled {
  constructor(readonly orderId: string) {}
}

/** Stays within its process. */
class ScreenRefreshed {}

class Unserialisable {
  readonly size = 5n;
}

class PackOrder {
  constructor(readonly orderId: string) {}
}

/** What happened, in order; emptied for each test. */
let seen: string[] = [];
/** How the next calls fail, by name. */
let failing: Map<string, number>;

const step = (name: string): void => {
  seen.push(name);
  const left = failing.get(name) ?? 0;
  failing.set(name, left - 1);
  if (left > 0) throw new Error(`${name} fails`);
};

@EventsHandler(OrderPlaced, OrderCancelled)
class Stock implements IEventHandler {
  constructor(private readonly outbox: Outbox) {}

  async handle(event: OrderPlaced | OrderCancelled): Promise<void> {
    const { orderId } = event;
    await this.outbox.publish({ topic: 'effects', payload: { n: 1, by: `stock ${orderId}` } });
    step(event instanceof OrderPlaced ? `stock ${event.label}` : `stock cancels ${orderId}`);
  }
}

@EventsHandler(OrderPlaced)
class Mail implements IEventHandler<OrderPlaced> {
  constructor(private readonly outbox: Outbox) {}

  async handle({ orderId }: OrderPlaced): Promise<void> {
    await this.outbox.publish({ topic: 'effects', payload: { n: 1, by: `mail ${orderId}` } });
    step(`mail ${orderId}`);
  }
}

@EventsHandler(ScreenRefreshed)
class Screen implements IEventHandler<ScreenRefreshed> {
  handle(): void {
    step('screen');
  }
}

/** Handles failures of its own commands. */
@EventsHandler(OrderPlaced)
class Careful implements IEventHandler<OrderPlaced> {
  constructor(private readonly commands: CommandBus) {}

  handle({ orderId }: OrderPlaced): Promise<void> {
    return this.commands.execute(new PackOrder(orderId)).catch(() => step('careful'));
  }
}

@CommandHandler(PackOrder)
class Packing implements ICommandHandler<PackOrder> {
  constructor(private readonly outbox: Outbox) {}

  async execute({ orderId }: PackOrder): Promise<void> {
    await this.outbox.publish({ topic: 'effects', payload: { n: 1, by: `pack ${orderId}` } });
    step(`pack ${orderId}`);
  }
}

@Injectable()
class Flow {
  @Saga()
  pack = (events: Observable<object>): Observable<PackOrder> =>
    events.pipe(
      ofType(OrderPlaced),
      map(({ orderId }) => new PackOrder(orderId)),
    );
}

@Injectable()
class LateFlow {
  @Saga()
  pack = (events: Observable<object>): Observable<PackOrder> =>
    events.pipe(
      ofType(OrderPlaced),
      delay(1),
      map(({ orderId }) => new PackOrder(orderId)),
    );
}

/** In addition to the handlers of the bus. */
@Controller()
class Early {
  @EventPattern<string>('orders')
  note(): void {
    step('early');
  }
}

class Order extends AggregateRoot {
  place(event: object): void {
    this.apply(event);
  }
}

const EVENTS: WaybillCqrsOptions['events'] = [
  OrderPlaced,
  { event: OrderCancelled, topic: 'orders' },
  { event: Unserialisable, topic: 'orders' },
];

let applications: Applications;
beforeEach(async () => {
  seen = [];
  failing = new Map();
  applications = await Applications.create('orders', 'effects');
});
afterEach(() => applications.close());

const bridge = (options: Partial<WaybillCqrsOptions> = {}): DynamicModule =>
  WaybillCqrsModule.forRoot({ eventBus: EventBus, commandBus: CommandBus, events: EVENTS, ...options });

const start = (group: string, providers: Type[], options: Partial<WaybillCqrsOptions> = {}) => {
  class Feature {}
  return applications.start(group, [], {
    imports: [CqrsModule.forRoot(), { module: Feature, providers }, bridge(options)],
  });
};

const effects = async (): Promise<unknown[]> => {
  const records = await applications.fixture.log('effects');
  return records.map(({ payload }) => String(payload['by'])).toSorted((a, b) => a.localeCompare(b));
};

const inTransaction = <T>(waybill: Waybill, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> =>
  waybill.transaction((tx: pg.PoolClient) => work(tx));

const until = (count: number): Promise<void> =>
  waitUntil(() => seen.length >= count, {
    describe: () => `${count} calls have been made, not ${seen.join(', ')}`,
  });

describe('events of @nestjs/cqrs through the log', () => {
  test('are published with the transaction, and handled in another service, sagas included', async () => {
    const orders = await start('orders', [Screen], { receive: false });
    await start('warehouse', [Stock, Mail, Packing, Flow]);
    const bus = orders.get(EventBus);
    await inTransaction(orders.get(Waybill), async () => {
      await bus.publish(new OrderPlaced('o1'));
      bus.publish(new ScreenRefreshed());
      expect(seen).toEqual(['screen']);
    });
    await until(4);
    expect(seen.toSorted()).toEqual(['mail o1', 'pack o1', 'screen', 'stock order o1']);
    const [record] = await applications.fixture.log('orders');
    expect(record).toMatchObject({
      key: 'o1',
      payload: { orderId: 'o1' },
      headers: { 'event-type': 'OrderPlaced' },
    });
    await waitUntil(async () => (await effects()).length === 3, {
      describe: () => 'what the handlers publish has arrived',
    });
    expect(await effects()).toEqual(['mail o1', 'pack o1', 'stock o1']);
  });

  test('are not published when the transaction is rolled back, and refused outside a transaction', async () => {
    const app = await start('orders', [Stock]);
    const bus = app.get(EventBus);
    const rolledBack = inTransaction(app.get(Waybill), async () => {
      await bus.publish(new OrderPlaced('never'));
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    await expect(bus.publish(new OrderPlaced('nowhere'))).rejects.toMatchObject({
      code: 'TRANSACTION_REQUIRED',
    });
    await applications.fixture.transaction((transaction) =>
      bus.publish(new OrderPlaced('given'), { transaction }),
    );
    await until(1);
    expect(seen).toEqual(['stock order given']);
  });

  test('may be published without a transaction if configured', async () => {
    const app = await start('orders', [Stock], { requireTransaction: false });
    await app.get(EventBus).publish(new OrderPlaced('o1'));
    await until(1);
    expect(seen).toEqual(['stock order o1']);
  });

  test('of an aggregate arrive in order, and a refusal fails the transaction although commit() awaits nothing', async () => {
    const app = await start('orders', [Stock]);
    const place = (...events: object[]): Promise<void> =>
      inTransaction(app.get(Waybill), async () => {
        const order = app.get(EventPublisher).mergeObjectContext(new Order());
        for (const event of events) order.place(event);
        order.commit();
      });
    await place(new OrderPlaced('o1'), new OrderCancelled('o1'));
    await until(2);
    expect(seen).toEqual(['stock order o1', 'stock cancels o1']);
    await expect(place(new OrderPlaced('o2'), new Unserialisable())).rejects.toMatchObject({
      code: 'PAYLOAD_NOT_SERIALIZABLE',
    });
    await place(new OrderPlaced('o3'));
    await until(3);
    expect(seen.at(-1)).toBe('stock order o3');
  });

  test('are done when every handler is: if one fails, all are rolled back and retried', async () => {
    const app = await start('orders', [Stock, Mail, Packing, Flow]);
    failing.set('mail o1', 1);
    await inTransaction(app.get(Waybill), () => app.get(EventBus).publish(new OrderPlaced('o1')));
    await waitUntil(async () => (await effects()).length > 0, {
      describe: () => 'what the handlers publish has arrived',
    });
    expect(seen.filter((call) => call === 'stock order o1')).toHaveLength(2);
    expect(seen.filter((call) => call === 'pack o1')).toHaveLength(2);
    expect(await effects()).toEqual(['mail o1', 'pack o1', 'stock o1']);
  });

  test.each([
    ['a handler', 'mail o1'],
    ["a saga's command", 'pack o1'],
  ])('become a dead letter when %s fails permanently', async (_, name) => {
    const app = await start('orders', [Stock, Mail, Packing, Flow]);
    failing.set(name, 100);
    await inTransaction(app.get(Waybill), () => app.get(EventBus).publish(new OrderPlaced('o1')));
    const letters = app.get(DeadLetters);
    await waitUntil(async () => (await letters.list({ group: 'orders' })).length > 0, {
      describe: () => 'it is a dead letter',
    });
    expect(seen.filter((call) => call === name)).toHaveLength(3);
    expect(await effects()).toEqual([]);
  });

  test('a command that a saga sends later is not awaited, and joins no transaction that has ended', async () => {
    const app = await start('orders', [Packing, LateFlow]);
    const unhandled: unknown[] = [];
    app.get(UnhandledExceptionBus).subscribe(({ exception }) => unhandled.push(exception));
    await inTransaction(app.get(Waybill), () => app.get(EventBus).publish(new OrderPlaced('o1')));
    await waitUntil(() => unhandled.length > 0, { describe: () => 'the refusal is reported' });
    expect(unhandled).toEqual([expect.objectContaining({ code: 'TRANSACTION_REQUIRED' })]);
    const counts = () => app.get(Waybill).consumerStatus?.counts;
    await waitUntil(() => counts()?.done === 1, { describe: () => 'the event has its verdict' });
    expect(counts()).toMatchObject({ done: 1, deadLetters: 0 });
    expect(await effects()).toEqual([]);
    expect(seen).toEqual([]);
  });

  test('a failure that a handler has dealt with does not count', async () => {
    const app = await start('orders', [Packing, Careful]);
    failing.set('pack o1', 100);
    await inTransaction(app.get(Waybill), () => app.get(EventBus).publish(new OrderPlaced('o1')));
    await waitUntil(() => app.get(Waybill).consumerStatus?.counts.done === 1, {
      describe: () => 'the event is handled',
    });
    expect(seen).toEqual(['pack o1', 'careful']);
  });

  test('of a type unknown to the service are skipped', async () => {
    const app = await start('orders', [Stock]);
    await inTransaction(app.get(Waybill), async (tx) => {
      const outbox = app.get(Outbox);
      const headers = { 'event-type': 'OrderShipped' };
      await outbox.publish(tx, { topic: 'orders', key: 'o1', headers, payload: {} });
      await outbox.publish(tx, { topic: 'orders', key: 'o1', payload: {} });
    });
    await waitUntil(() => app.get(Waybill).consumerStatus?.counts.done === 2, { describe: () => 'both' });
    expect(seen).toEqual([]);
  });
});

test('events that arrive before the bus has its handlers wait for them', async () => {
  const { fixture } = applications;
  const headers = { 'event-type': 'OrderPlaced' };
  await fixture.transaction((client) =>
    fixture.outbox.publish(client, { topic: 'orders', headers, payload: { orderId: 'o1' } }),
  );
  class Feature {}
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({ database: { connectionString: fixture.url }, group: 'orders' }),
      CqrsModule.forRoot(),
      { module: Feature, providers: [Stock] },
      bridge(),
    ],
    controllers: [Early],
  }).compile();
  module.useLogger(false);
  const app = module.createNestApplication();
  app.connectMicroservice({ strategy: app.get(WaybillServer) });
  try {
    await app.startAllMicroservices();
    await fixture.moveAll();
    await until(1);
    expect(seen).toEqual(['early']);
    await app.init();
    await until(2);
    expect(seen).toEqual(['early', 'stock order o1']);
  } finally {
    await app.close();
  }
});

test('an invalid set-up is refused at boot', async () => {
  @EventsHandler(OrderPlaced)
  class PerRequest implements IEventHandler<OrderPlaced> {
    handle(): void {}
  }
  Injectable({ scope: Scope.REQUEST })(PerRequest);
  await expect(start('orders', [PerRequest])).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    problems: [
      'PerRequest is request-scoped, so events from the log cannot wait for it: make it a singleton',
    ],
  });
  const twice = [OrderPlaced, { event: OrderCancelled, topic: 'orders', type: 'OrderPlaced' }];
  const problems = ['two events have the type OrderPlaced of topic orders: give one of them another type'];
  expect(() => bridge({ events: twice })).toThrow(expect.objectContaining({ problems }));
  expect(() => bridge({ events: [ScreenRefreshed] })).toThrow(/no @WaybillEvent\(topic\)/);
  expect(() => bridge({ events: [{ event: ScreenRefreshed, topic: 'a b' }] })).toThrow(
    /which is not a valid topic name/,
  );
});
