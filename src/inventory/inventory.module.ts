import { Module } from '@nestjs/common';
import { prismaTransactions, WaybillModule } from '@waybill/nestjs';
import { CONSUMER_SETTINGS, topicSettings } from '../contracts/topics.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { InventoryPrisma } from './inventory-prisma.js';
import { StockRepository } from './stock.repository.js';
import { InventoryController } from './inventory.controller.js';

@Module({ providers: [InventoryPrisma], exports: [InventoryPrisma] })
class InventoryDatabaseModule {}

/** The inventory service: the stock of every article, and the outgoing parcels. */
@Module({
  imports: [
    InventoryDatabaseModule,
    WaybillModule.forRootAsync({
      name: 'inventory',
      imports: [InventoryDatabaseModule],
      inject: [InventoryPrisma, SHOP_CONFIG],
      useFactory: (prisma: InventoryPrisma, config: ShopConfig) => ({
        database: { connectionString: config.connectionStrings.inventory },
        bus: { connectionString: config.busConnectionStrings.inventory },
        transactions: prismaTransactions(prisma),
        group: 'inventory',
        topics: topicSettings(),
        consumer: CONSUMER_SETTINGS,
        ...(config.redisUrl === undefined ? {} : { redis: config.redisUrl }),
      }),
    }),
  ],
  controllers: [InventoryController],
  providers: [StockRepository],
})
export class InventoryModule {}
