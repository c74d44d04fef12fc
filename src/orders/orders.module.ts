import { Module } from '@nestjs/common';
import { getWaybillToken, Outbox, prismaTransactions, WaybillModule } from '@waybill/nestjs';
import { CONSUMER_SETTINGS, topicSettings } from '../contracts/topics.js';
import { Messenger } from '../messaging/messenger.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { OrdersPrisma } from './orders-prisma.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { OrderSteps } from './order-steps.js';
import { PlaceOrder } from './place-order.saga.js';
import { TakeBack } from './take-back.saga.js';

@Module({ providers: [OrdersPrisma], exports: [OrdersPrisma] })
class OrdersDatabaseModule {}

/** The orders service: takes orders over HTTP and brings them to their outcome. */
@Module({
  imports: [
    OrdersDatabaseModule,
    WaybillModule.forRootAsync({
      name: 'orders',
      imports: [OrdersDatabaseModule],
      inject: [OrdersPrisma, SHOP_CONFIG],
      useFactory: (prisma: OrdersPrisma, config: ShopConfig) => ({
        database: { connectionString: config.connectionStrings.orders },
        bus: { connectionString: config.busConnectionStrings.orders },
        transactions: prismaTransactions(prisma),
        group: 'orders',
        topics: topicSettings(),
        consumer: CONSUMER_SETTINGS,
        ...(config.redisUrl === undefined ? {} : { redis: config.redisUrl }),
      }),
    }),
  ],
  controllers: [OrdersController],
  providers: [
    OrdersService,
    OrderSteps,
    PlaceOrder,
    TakeBack,
    {
      provide: Messenger,
      inject: [getWaybillToken(Outbox, 'orders')],
      useFactory: (outbox: Outbox) => new Messenger(outbox),
    },
  ],
})
export class OrdersModule {}
