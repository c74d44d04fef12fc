import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { INestApplicationContext, INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CommandBus } from '@nestjs/cqrs';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { WaybillServer } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

let fixture: Fixture;
let app: (INestMicroservice & INestApplicationContext) | undefined;
beforeAll(async () => {
  fixture = await Fixture.create({});
  await fixture.database.pool.query(
    'create table orders (id text primary key); create table delivery (order_id text primary key)',
  );
});
afterAll(async () => {
  await app?.close();
  await fixture.close();
});

test('the guide quotes the example exactly', () => {
  const path = 'examples/bridges/orders.ts';
  expect(read('docs/BRIDGES.md')).toContain(`<!-- ${path} -->\n\n\`\`\`ts\n${read(path)}\`\`\``);
});

test('and an order placed there gets its delivery booked once', async () => {
  process.env['DATABASE_URL'] = fixture.url;
  const { OrdersModule, PlaceOrder } = await import('../../examples/bridges/orders.js');
  app = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
    inject: [WaybillServer],
    useFactory: (strategy: WaybillServer) => ({ strategy }),
    logger: false,
  } as never);
  await app.listen();
  const commands = app.get(CommandBus);
  await commands.execute(new PlaceOrder('o1'));
  await expect(commands.execute(new PlaceOrder('o1'))).rejects.toThrow(/duplicate key/);
  await waitUntil(async () => (await fixture.value('select count(*)::integer from delivery')) === 1, {
    describe: () => 'the delivery is booked',
  });
  expect(await fixture.log('orders.placed')).toHaveLength(1);
});
