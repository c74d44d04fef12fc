import 'reflect-metadata';
import { ClsPluginTransactional, TransactionHost } from '@nestjs-cls/transactional';
import { Global, type INestMicroservice, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  isWaybillError,
  joinDeliveries,
  Outbox,
  Waybill,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillServer,
} from '@waybill/nestjs';
import { ClsModule } from 'nestjs-cls';
import { ADAPTED, CONNECTION } from './adapted.js';
import { insert, message, Orders, Shop, VALUE_OF } from './shop.js';

/** The settings that the test gives this program. */
export interface Settings {
  readonly url: string;
  readonly orm: keyof typeof ADAPTED;
  /**
   * `joined`: the adapter is wrapped in joinDeliveries. `apart`: it is not, and the module knows `ambient`. `wrong`: it
   * is not, and the module gets the host.
   */
  readonly how: 'joined' | 'apart' | 'wrong';
}

const { url, orm, how } = JSON.parse(process.argv[2] ?? '{}') as Settings;
const { connect, adapter, transactions, value } = ADAPTED[orm];

async function start(): Promise<INestMicroservice> {
  const connection = await connect(url);
  @Global()
  @Module({
    providers: [
      { provide: CONNECTION, useValue: connection },
      { provide: VALUE_OF, useValue: value },
    ],
    exports: [CONNECTION, VALUE_OF],
  })
  class Database {}

  const optionsFor = (host: TransactionHost): Pick<WaybillModuleOptions, 'ambient' | 'transactionHost'> =>
    how === 'apart'
      ? { ambient: () => (host.isTransactionActive() ? host.tx : undefined) }
      : { transactionHost: host };

  @Module({
    imports: [
      Database,
      ClsModule.forRoot({
        global: true,
        plugins: [
          new ClsPluginTransactional({
            imports: [Database],
            adapter: (how === 'joined' ? joinDeliveries(adapter()) : adapter()) as never,
          }),
        ],
      }),
      WaybillModule.forRootAsync({
        inject: [TransactionHost],
        useFactory: (host: TransactionHost) => ({
          database: { connectionString: url },
          group: 'shop',
          relay: false,
          scheduler: true,
          transactions: transactions(connection),
          handlers: { retry: { delayMs: 10 } },
          ...optionsFor(host),
        }),
      }),
    ],
    controllers: [Shop],
    providers: [Orders],
  })
  class AppModule {}

  const app = await NestFactory.create(AppModule, { logger: false, abortOnError: false });
  const service = app.connectMicroservice({ strategy: app.get(WaybillServer) });
  await app.init();
  await app.startAllMicroservices();
  return service;
}

const onPurpose = (): never => {
  throw new Error('failed on purpose');
};

/** The error that code gets; undefined when it gets none. */
async function codeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => (isWaybillError(error) ? error.code : String(error)),
  );
}

/** The scenarios that the test can run; the numbers of each start at `from`. */
const scenarios = {
  async publishes({ orders, from }: Parts): Promise<void> {
    await orders.place(from + 1);
    await codeOf(orders.place(from + 2, onPurpose));
    await orders.place(from + 3, () => codeOf(orders.attempt(from + 4)));
    await orders.place(from + 5, () => orders.audit(from + 6));
    await codeOf(
      orders.place(from + 7, async () => {
        await orders.audit(from + 8);
        onPurpose();
      }),
    );
    await orders.everything(from + 10);
  },

  async refuses({ orders, outbox, from }: Parts): Promise<unknown[]> {
    let late: Promise<unknown> | undefined;
    let release: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (release = resolve));
    await orders.place(from + 2, () => {
      late = codeOf(ended.then(() => outbox.publish(message(from + 3))));
    });
    release();
    return Promise.all([
      codeOf(outbox.publish(message(from + 1))),
      codeOf(outbox.publishMany([message(from + 1)])),
      codeOf(outbox.cancelTimer({ token: 't' })),
      codeOf(outbox.rescheduleTimer({ token: 't' }, { delayMs: 1 })),
      late,
    ]);
  },

  /** Instructs the handler; when the first attempt has failed and the second has not, resolves to what it saw. */
  handles({ orders, outbox, shop, from }: Parts): Promise<unknown[]> {
    return new Promise((resolve) => {
      const ids: unknown[] = [];
      shop.handling = async ({ attempt, transaction }) => {
        ids.push(await orders.transactionId());
        ids.push(await value(transaction, 'select pg_current_xact_id()::text as id'));
        await orders.place(from + attempt);
        await outbox.publish(message(from + 10 + attempt));
        await orders.audit(from + 20 + attempt);
        await codeOf(orders.attempt(from + 30 + attempt));
        if (attempt === 1) onPurpose();
        resolve(ids);
      };
    });
  },

  async nests({ orders, outbox, waybill, from }: Parts): Promise<void> {
    await codeOf(
      waybill.transaction(async (tx) => {
        await value(tx, insert(from + 1));
        await outbox.publish(message(from + 1));
        await orders.place(from + 2);
        await outbox.publish(message(from + 3));
        onPurpose();
      }),
    );
    await codeOf(
      orders.place(from + 4, async () => {
        await waybill.transaction(async (tx) => {
          await value(tx, insert(from + 5));
          await outbox.publish(message(from + 5));
        });
        await outbox.publish(message(from + 6));
        onPurpose();
      }),
    );
  },
};

interface Parts {
  readonly orders: Orders;
  readonly outbox: Outbox;
  readonly shop: Shop;
  readonly waybill: Waybill;
  readonly from: number;
}

/** A request of the test. */
export interface Request {
  readonly scenario: keyof typeof scenarios;
  readonly from: number;
}

try {
  const app = await start();
  const parts = {
    orders: app.get(Orders),
    outbox: app.get(Outbox),
    shop: app.get(Shop),
    waybill: app.get(Waybill),
  };
  process.on('message', ({ scenario, from }: Request) => {
    void scenarios[scenario]({ ...parts, from }).then(
      (result) => process.send?.({ result }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.send?.({ result: 'ready' });
} catch (error) {
  process.send?.({ error: String(error) });
  process.exitCode = 1;
  process.disconnect();
}
