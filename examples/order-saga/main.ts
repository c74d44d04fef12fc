import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { WaybillServer } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { connectionString } from './database.js';
import { OrdersModule } from './orders.js';
import { StockAndPaymentsModule } from './stock-and-payments.js';

export async function startService(module: new () => object) {
  await migrate({ connectionString });
  const app = await NestFactory.create(module);
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  app.enableShutdownHooks();
  await app.init();
  await app.startAllMicroservices();
  return app;
}

/** Both services. They may as well be two processes. */
export async function start() {
  return { orders: await startService(OrdersModule), others: await startService(StockAndPaymentsModule) };
}
