import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { WaybillServer } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { BasketsModule } from './baskets.js';
import { connectionString } from './database.js';
import { WarehouseModule } from './warehouse.js';

async function startService(module: new () => object) {
  await migrate({ connectionString });
  const app = await NestFactory.create(module);
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  app.enableShutdownHooks();
  await app.init();
  await app.startAllMicroservices();
  await app.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1');
  return app;
}

/** Both services. They may as well be two processes. */
export async function start() {
  return { baskets: await startService(BasketsModule), warehouse: await startService(WarehouseModule) };
}
