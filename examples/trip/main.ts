import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { WaybillServer } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { BookingsModule } from './bookings.js';
import { connectionString } from './database.js';
import { TripsModule } from './trips.js';

async function startService(module: new () => object) {
  await migrate({ connectionString });
  const app = await NestFactory.create(module);
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  app.enableShutdownHooks();
  await app.init();
  await app.startAllMicroservices();
  return app;
}

/** The service that books trips, and the one of flights, hotels and cars: these may as well be three. */
export async function start() {
  return { trips: await startService(TripsModule), bookings: await startService(BookingsModule) };
}
