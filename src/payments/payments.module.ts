import { Module } from '@nestjs/common';
import { ExternalEffects } from '@waybill/guard';
import { getWaybillToken, prismaTransactions, Waybill, WaybillModule } from '@waybill/nestjs';
import { CONSUMER_SETTINGS, topicSettings } from '../contracts/topics.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { CardGateway, GATEWAY_LIMITS } from './card-gateway.js';
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
        bus: { connectionString: config.busConnectionStrings.payments },
        transactions: prismaTransactions(prisma),
        group: 'payments',
        topics: topicSettings(),
        consumer: CONSUMER_SETTINGS,
        ...(config.redisUrl === undefined ? {} : { redis: config.redisUrl }),
      }),
    }),
  ],
  controllers: [PaymentsController],
  providers: [
    CardGateway,
    {
      provide: ExternalEffects,
      inject: [getWaybillToken(Waybill, 'payments')],
      useFactory: ({ database, logger }: Waybill) =>
        new ExternalEffects(database.session, GATEWAY_LIMITS, { logger }),
    },
  ],
})
export class PaymentsModule {}
