import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller, Injectable, Module, Scope, type Type } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { Test, type TestingModule } from '@nestjs/testing';
import { PgDatabase } from '@waybill/kernel';
import {
  getWaybillToken,
  InjectWaybill,
  Outbox,
  Saga,
  saga,
  sagaCommand,
  SagaOperations,
  Waybill,
  WaybillModule,
  type WaybillModuleOptions,
} from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { testDatabase, waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

const ship = sagaCommand<{ orderId: string }>('shipping.ship');

@Saga()
class ShipOrder {
  readonly definition = saga<{ orderId: string }>('orders.ship')
    .step('ship', { invoke: ship, with: ({ orderId }) => ({ orderId }) })
    .build();
}

@Module({
  imports: [WaybillModule.forFeature({ topics: { 'orders.placed': { partitions: 3 } }, sagas: [ShipOrder] })],
})
class OrdersModule {}

@Module({
  imports: [
    WaybillModule.forFeature({ topics: { 'stock.moved': {} } }),
    WaybillModule.forFeature({ topics: { 'orders.placed': { partitions: 3 } } }),
  ],
})
class StockModule {}

@Controller()
class Handler {
  @EventPattern<string>('orders.placed')
  handle(): void {}
}

let fixture: Fixture;
let modules: TestingModule[] = [];
beforeEach(async () => {
  fixture = await Fixture.create({});
});
afterEach(async () => {
  await Promise.all(modules.map((module) => module.close()));
  modules = [];
  await fixture.close();
});

const options = (more: Partial<WaybillModuleOptions> = {}): WaybillModuleOptions => ({
  database: { connectionString: fixture.url },
  group: 'orders',
  relay: false,
  ...more,
});

const compile = async (
  ...imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>
) => {
  const module = await Test.createTestingModule({ imports, controllers: [Handler] }).compile();
  module.useLogger(false);
  modules.push(module);
  return module;
};

@Injectable()
class Settings {
  createWaybillOptions(): WaybillModuleOptions {
    return options();
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

describe('the module', () => {
  test.each<[string, () => ReturnType<typeof WaybillModule.forRootAsync>]>([
    ['useFactory', () => WaybillModule.forRootAsync({ useFactory: async () => options() })],
    ['useClass', () => WaybillModule.forRootAsync({ useClass: Settings as Type })],
    [
      'useExisting',
      () => WaybillModule.forRootAsync({ imports: [SettingsModule], useExisting: Settings as Type }),
    ],
  ])('is configured by %s', async (_, made) => {
    const module = await compile(made());
    await module.init();
    expect(module.get(Waybill).options.group).toBe('orders');
  });

  test('takes topics and sagas from all parts of an application, in whatever order they name a topic', async () => {
    const module = await compile(WaybillModule.forRoot(options()), OrdersModule, StockModule);
    await module.init();
    const topics = await module.get(Waybill).topics.list();
    expect(topics.map(({ name }) => name)).toEqual(expect.arrayContaining(['orders.placed', 'stock.moved']));
    expect(topics.find(({ name }) => name === 'orders.placed')?.partitionIds).toHaveLength(3);
    expect(module.get(ShipOrder)).toBeInstanceOf(ShipOrder);
    expect(module.get(SagaOperations)).toBeDefined();
    expect(module.get(Waybill).sagas.definitions.find('orders.ship', 1)).toBeDefined();
  });

  test('refuses at boot what its parts disagree about, and lists all of it', async () => {
    const other = WaybillModule.forFeature({
      topics: { 'orders.placed': { partitions: 4 }, 'stock.moved': { partitions: 2 } },
    });
    const module = await compile(WaybillModule.forRoot(options()), OrdersModule, StockModule, other);
    await expect(module.init()).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      problems: [expect.stringContaining('orders.placed'), expect.stringContaining('stock.moved')],
    });
  });

  test('refuses an invalid feature, and lists every problem', () => {
    const wrong = { topic: {}, topics: { 'a b': {} }, sagas: ['ShipOrder'] };
    expect(() => WaybillModule.forFeature(wrong as never)).toThrow(/topic.*did you mean topics.*a b.*@Saga/);
  });

  test('lets tests replace an outbox, by its token or as injected by name', async () => {
    @Injectable()
    class Billing {
      constructor(@InjectWaybill(Outbox, 'billing') readonly outbox: Outbox) {}
    }
    const kept: unknown[] = [];
    const module = await Test.createTestingModule({
      imports: [WaybillModule.forRoot({ ...options(), name: 'billing' })],
      providers: [Billing],
    })
      .overrideProvider(getWaybillToken(Outbox, 'billing'))
      .useValue({ publish: (message: unknown) => kept.push(message) })
      .compile();
    modules.push(module);
    module.useLogger(false);
    await module.get(Billing).outbox.publish({ topic: 'orders.placed', payload: 1 });
    expect(kept).toHaveLength(1);
  });

  test('has no token for a class that Waybill does not provide', () => {
    class Billing {}
    expect(() => getWaybillToken(Billing as unknown as typeof Outbox, 'billing')).toThrow(
      /Billing is not a class that Waybill provides: use Waybill, Outbox, /,
    );
  });

  test('warns of handlers that are created for each delivery', async () => {
    @Controller({ scope: Scope.REQUEST })
    class Scoped {
      @EventPattern<string>('stock.moved')
      handle(): void {}
    }
    const warnings: string[] = [];
    const logger = { debug() {}, info() {}, error() {}, warn: (text: string) => warnings.push(text) };
    const module = await Test.createTestingModule({
      imports: [WaybillModule.forRoot({ ...options(), logger })],
      controllers: [Handler, Scoped],
    }).compile();
    modules.push(module);
    module.useLogger(false);
    await module.init();
    expect(warnings).toEqual([expect.stringMatching(/request-scoped.*: Scoped\.handle \(stock\.moved\)\./)]);
  });

  test('publishes from a database of its own to a bus in another', async () => {
    await fixture.topics.create('orders.placed', { partitions: 1 });
    const created = await testDatabase('ledger');
    await migrate({ connectionString: created.connectionString, part: 'service' });
    const own = new PgDatabase({ connectionString: created.connectionString });
    try {
      const module = await compile(
        WaybillModule.forRoot({
          database: { connectionString: created.connectionString },
          bus: { connectionString: fixture.url },
        }),
      );
      await module.init();
      const outbox = module.get(Outbox);
      await own.transaction(async ({ client }) => {
        await outbox.publish(client, { topic: 'orders.placed', payload: { n: 1 } });
        await outbox.publishMany(client, [{ topic: 'orders.placed', payload: { n: 2 } }]);
      });
      await module.get(Waybill).transaction(async (_tx, messages) => {
        messages.publish({ topic: 'orders.placed', payload: { n: 3 } });
      });
      await waitUntil(async () => (await fixture.log('orders.placed')).length === 3, {
        describe: 'all are on the bus',
      });
      expect(
        (await fixture.log('orders.placed')).map(({ payload }) => payload.n).toSorted((a, b) => a - b),
      ).toEqual([1, 2, 3]);
    } finally {
      await Promise.all(modules.splice(0).map((module) => module.close()));
      await own.close();
      await created.drop();
    }
  });
});
