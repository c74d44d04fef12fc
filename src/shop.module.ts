import { type DynamicModule, Module, type Type } from '@nestjs/common';
import type { ServiceName } from './contracts/services.js';
import { HealthController } from './health.controller.js';
import { HttpDrain } from './http-drain.js';
import { InventoryModule } from './inventory/inventory.module.js';
import { OrdersModule } from './orders/orders.module.js';
import { PaymentsModule } from './payments/payments.module.js';
import { SHOP_CONFIG, type ShopConfig } from './shop-config.js';

const MODULES: Readonly<Record<ServiceName, Type>> = {
  orders: OrdersModule,
  inventory: InventoryModule,
  payments: PaymentsModule,
};

/** The services of this process, and their configuration. */
@Module({})
export class ShopModule {
  static register(config: ShopConfig): DynamicModule {
    return {
      module: ShopModule,
      global: true,
      imports: config.services.map((service) => MODULES[service]),
      controllers: [HealthController],
      providers: [{ provide: SHOP_CONFIG, useValue: config }, HttpDrain],
      exports: [SHOP_CONFIG],
    };
  }
}
