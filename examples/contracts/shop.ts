import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { cloudEventOf, Waybill, WaybillAsyncApiModule, WaybillContext, WaybillModule } from '@waybill/nestjs';
import { type HandledOrder, OrderPlaced, type PublishedOrder } from './order-placed.js';

@Controller()
export class Shop {
  constructor(private readonly waybill: Waybill) {}

  /** A payload that does not fit is refused with PayloadInvalidError, before anything is written. */
  async place(order: PublishedOrder): Promise<void> {
    await this.waybill.transaction(async (_tx, outbox) => {
      outbox.publish({ topic: 'orders.placed', key: order.id, payload: order });
    });
  }

  @EventPattern<string>('orders.placed')
  async book(@Payload() order: HandledOrder, @Ctx() context: WaybillContext): Promise<void> {
    await context.transaction.query('insert into booking values ($1, $2, $3, $4)', [
      order.id,
      order.pence,
      order.currency,
      cloudEventOf(context)?.source ?? 'unknown',
    ]);
  }
}

@Module({
  imports: [
    WaybillModule.forRoot({
      database: { connectionString: process.env['DATABASE_URL'] ?? 'postgresql://localhost/shop' },
      group: 'shop',
      topics: { 'orders.placed': {} },
      schemas: { 'orders.placed': OrderPlaced },
      cloudEvents: { source: '/shop' },
    }),
    WaybillAsyncApiModule.forRoot({ title: 'The shop', version: '2.0.0' }), // GET /asyncapi.json
  ],
  controllers: [Shop],
})
export class AppModule {}
