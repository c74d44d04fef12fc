// The module of an application, for the command that describes it. Its databases are at an address that counts
// connections.
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { WaybillAsyncApiModule, WaybillModule } from '@waybill/nestjs';
import { z } from 'zod';

const address = process.env['ADDRESS'] ?? '';

class Orders {
  onModuleInit() {
    throw new Error('it was started');
  }
  place() {}
}
Controller()(Orders);
EventPattern('orders.placed')(
  Orders.prototype,
  'place',
  Object.getOwnPropertyDescriptor(Orders.prototype, 'place'),
);

export class AppModule {}
Module({
  imports: [
    WaybillModule.forRoot({
      database: { connectionString: `postgresql://shop@${address}/shop` },
      bus: { connectionString: `postgresql://bus@${address}/bus` },
      redis: `redis://${address}`,
      consumer: { retryBudget: { perSecond: 10 } },
      guards: { lease: {} },
      group: 'shop',
      topics: { 'orders.placed': {} },
      schemas: { 'orders.paid': z.object({ pence: z.int() }) },
    }),
    WaybillAsyncApiModule.forRoot({ title: 'The shop', version: '2.1.0' }),
  ],
  controllers: [Orders],
})(AppModule);
