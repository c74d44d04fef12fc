import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { PRISMA_TRANSACTION_LIMITS } from '../database/prisma-limits.js';
import { type Prisma, PrismaClient } from './generated/client.js';

/** The transaction of this service's handlers. */
export type InventoryTransaction = Prisma.TransactionClient;

/** The inventory service's own database access, by its own role. */
@Injectable()
export class InventoryPrisma extends PrismaClient implements OnApplicationShutdown {
  constructor(@Inject(SHOP_CONFIG) config: ShopConfig) {
    super({
      adapter: new PrismaPg(
        { connectionString: config.connectionStrings.inventory },
        { schema: 'inventory' },
      ),
      transactionOptions: PRISMA_TRANSACTION_LIMITS,
    });
  }

  /** After the consumers have drained: a delivery's transaction is Prisma's. */
  async onApplicationShutdown(): Promise<void> {
    await this.$disconnect();
  }
}
