import 'reflect-metadata';
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WaybillModule, WaybillServer } from '@waybill/nestjs';
import { SagaTestEnvironment } from '@waybill/testing/saga';
import { Pool } from 'pg';
import { Orders, PlaceOrder } from './orders.js';
import { Payments, Stock } from './stock-and-payments.js';

@Module({})
class ServiceModule {}

/** A service like its own module defines it, on the given database. */
const service =
  (group: string, { providers = [], controllers = [] }: Pick<DynamicModule, 'providers' | 'controllers'>) =>
  async (connectionString: string) => {
    const app = await NestFactory.create({
      module: ServiceModule,
      imports: [WaybillModule.forRoot({ database: { connectionString }, group })],
      providers: [
        ...providers,
        { provide: Pool, useFactory: () => new Pool({ connectionString, allowExitOnIdle: true }) },
      ],
      controllers,
    });
    app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
    await app.init();
    await app.startAllMicroservices();
    return app; // has close()
  };

export async function tryForReal(createTables: (connectionString: string) => Promise<unknown>) {
  const env = await SagaTestEnvironment.start({
    setUp: createTables,
    services: {
      orders: service('orders', { providers: [PlaceOrder, Orders] }),
      stock: service('stock', { controllers: [Stock] }),
      payments: service('payments', { controllers: [Payments] }),
    },
  });
  try {
    // The lanterns are reserved and committed, and the stock service crashes before it knows.
    const crash = await env.crash('stock', { at: 'reserve', when: 'after-commit' });
    const order = { orderId: 'A-1', sku: 'lantern', pieces: 3, pence: 900 };
    await env.service('orders').get(Orders).place(order);
    await crash.happened(); // and it is back
    const { id } = await env.until('orders.place', 'A-1', 'COMPLETED');
    await env.skip(7 * 86_400_000); // everything that falls due in a week happens, in order
    return await env.story(id);
  } finally {
    await env.close();
  }
}
