import { Module } from '@nestjs/common';
import {
  CommandBus,
  CommandHandler,
  CqrsModule,
  EventBus,
  EventsHandler,
  type ICommandHandler,
  type IEventHandler,
} from '@nestjs/cqrs';
import { Waybill, WaybillCqrsModule, WaybillEvent, WaybillModule } from '@waybill/nestjs';

/** Goes through the log: the events of one order arrive in order. */
@WaybillEvent<OrderPlaced>('orders.placed', { key: ({ orderId }) => orderId })
export class OrderPlaced {
  constructor(readonly orderId: string) {}
}

export class PlaceOrder {
  constructor(readonly orderId: string) {}
}

@CommandHandler(PlaceOrder)
export class PlaceOrderHandler implements ICommandHandler<PlaceOrder> {
  constructor(
    private readonly waybill: Waybill,
    private readonly events: EventBus,
  ) {}

  /** The order and its event are committed together, or neither is. */
  async execute({ orderId }: PlaceOrder): Promise<void> {
    await this.waybill.transaction(async (tx) => {
      await tx.query('insert into orders (id) values ($1)', [orderId]);
      await this.events.publish(new OrderPlaced(orderId));
    });
  }
}

/** In this service, or in any other that imports the module. */
@EventsHandler(OrderPlaced)
export class BookDelivery implements IEventHandler<OrderPlaced> {
  constructor(private readonly waybill: Waybill) {}

  /** Runs in the transaction of the delivery: what it writes takes effect once. */
  async handle({ orderId }: OrderPlaced): Promise<void> {
    const tx = this.waybill.ambient.handle();
    await tx?.query('insert into delivery (order_id) values ($1)', [orderId]);
  }
}

@Module({
  imports: [
    CqrsModule.forRoot(),
    WaybillModule.forRoot({
      database: { connectionString: process.env['DATABASE_URL'] ?? '' },
      group: 'orders',
      topics: { 'orders.placed': {} },
    }),
    WaybillCqrsModule.forRoot({ eventBus: EventBus, commandBus: CommandBus, events: [OrderPlaced] }),
  ],
  providers: [PlaceOrderHandler, BookDelivery],
})
export class OrdersModule {}
