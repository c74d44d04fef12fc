import { Module } from '@nestjs/common';
import { getOutboxToken, type Outbox, prismaTransactions, WaybillModule } from '@waybill/nestjs';
import { CONSUMER_SETTINGS, topicSettings } from '../contracts/topics.js';
import { Messenger } from '../messaging/messenger.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { CardGateway } from './card-gateway.js';
import { PaymentsPrisma } from './payments-prisma.js';
import { PaymentsController } from './payments.controller.js';

@Module({ providers: [PaymentsPrisma], exports: [PaymentsPrisma] })
class PaymentsDatabaseModule {}

/** The payments service: the ledger of charges and refunds. */
@Module({
  imports: [
    PaymentsDatabaseModule,
    WaybillModule.forRootAsync({
      name: 'payments',
      imports: [PaymentsDatabaseModule],
      inject: [PaymentsPrisma, SHOP_CONFIG],
      useFactory: (prisma: PaymentsPrisma, config: ShopConfig) => ({
        database: { connectionString: config.connectionStrings.payments },
        transactions: prismaTransactions(prisma),
        group: 'payments',
        topics: topicSettings(),
        relay: true,
        consumer: CONSUMER_SETTINGS,
        ...(config.redisUrl === undefined ? {} : { redis: config.redisUrl }),
      }),
    }),
  ],
  controllers: [PaymentsController],
  providers: [
    CardGateway,
    {
      provide: Messenger,
      inject: [getOutboxToken('payments')],
      useFactory: (outbox: Outbox) => new Messenger(outbox),
    },
  ],
})
export class PaymentsModule {}
