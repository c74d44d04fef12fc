import 'reflect-metadata';
import { type INestApplication, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WaybillModule, WaybillServer } from '@waybill/nestjs';
import { SagaTestEnvironment, type SagaTestOptions, type Services } from '@waybill/testing/saga';
import { testServerUrl } from '@waybill/testing';
import { Pool } from 'pg';
import { Orders, PlaceOrder } from '../../examples/order-saga/orders.js';
import { Payments, Stock } from '../../examples/order-saga/stock-and-payments.js';

const TABLES = `
  create table orders (id text primary key, state text not null, shelf text, reason text);
  create table stock (sku text primary key, pieces int not null, shelf text not null);
  create table reservation (order_id text, sku text, pieces int);
  create table charge (order_id text, pence int);
  insert into stock values ('lantern', 10, 'A7')`;

/** Starts a Nest service in this process, as an application would. */
export async function startNest(
  connectionString: string,
  group: string,
  { controllers = [], providers = [] }: { controllers?: Type[]; providers?: Type[] },
): Promise<INestApplication> {
  class ServiceModule {}
  const pool = { provide: Pool, useFactory: () => new Pool({ connectionString }) };
  class Ends {
    constructor(private readonly pool: Pool) {}
    onApplicationShutdown = (): Promise<void> => this.pool.end();
  }
  Module({
    imports: [WaybillModule.forRoot({ database: { connectionString }, group })],
    controllers,
    providers: [
      ...providers,
      pool,
      { provide: Ends, useFactory: (own: Pool) => new Ends(own), inject: [Pool] },
    ],
  })(ServiceModule);
  const app = await NestFactory.create(ServiceModule, { logger: false });
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  await app.init();
  await app.startAllMicroservices();
  return app;
}

/** Runs a statement on its own connection. */
export async function runSql(
  connectionString: string,
  text: string,
  values?: unknown[],
): Promise<Record<string, unknown>[]> {
  const pool = new Pool({ connectionString, max: 1 });
  try {
    return (await pool.query<Record<string, unknown>>(text, values)).rows;
  } finally {
    await pool.end();
  }
}

/** An environment on the server of the run. */
export function environment<const Of extends Services>(
  options: SagaTestOptions<Of>,
): Promise<SagaTestEnvironment<Of>> {
  return SagaTestEnvironment.start<Of>({ server: { connectionString: testServerUrl() }, ...options });
}

export const orderServices = {
  orders: (url: string) => startNest(url, 'orders', { providers: [PlaceOrder, Orders] }),
  stock: (url: string) => startNest(url, 'stock', { controllers: [Stock] }),
  payments: (url: string) => startNest(url, 'payments', { controllers: [Payments] }),
};

/** Creates the tables of the guide's order saga. */
export function createTables(connectionString: string): Promise<unknown> {
  return runSql(connectionString, TABLES);
}

/** The data of an order: pieces reserved, charges in pence, and its state. */
export async function standingOf(connectionString: string, orderId: string): Promise<unknown> {
  const [row] = await runSql(
    connectionString,
    `select array(select pieces from reservation where order_id = $1) as reserved,
            array(select pence from charge where order_id = $1) as charged,
            (select state from orders where id = $1) as state`,
    [orderId],
  );
  return row;
}
