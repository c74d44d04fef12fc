import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WaybillModule, WaybillServer } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { Pool } from 'pg';
import { Shop } from './shop.js';

const connectionString = process.env['DATABASE_URL'] ?? 'postgresql://localhost/shop';

@Module({
  imports: [
    WaybillModule.forRoot({ database: { connectionString }, group: 'shop', topics: { 'orders.placed': {} } }),
  ],
  providers: [{ provide: Pool, useFactory: () => new Pool({ connectionString }) }],
  controllers: [Shop],
})
export class AppModule {}

export async function start() {
  await migrate({ connectionString });
  const app = await NestFactory.create(AppModule);
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  app.enableShutdownHooks(); // SIGTERM lets handlers end and releases the partitions; otherwise they wait for the lease
  await app.init(); // providers are ready before the first message
  await app.startAllMicroservices();
  await app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1');
  return app;
}
