import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Outbox, WaybillServer } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

let fixture: Fixture;
let app: INestApplication | undefined;
beforeAll(async () => {
  fixture = await Fixture.create({ 'orders.placed': {} });
  await fixture.database.pool.query(
    'create table booking (id text primary key, pence int, currency text, source text)',
  );
});
afterAll(async () => {
  await app?.close();
  await fixture.close();
});

test.each(['examples/contracts/order-placed.ts', 'examples/contracts/shop.ts'])(
  'the guide quotes %s exactly',
  (path) => {
    expect(read('docs/CONTRACTS.md')).toContain(`<!-- ${path} -->\n\n\`\`\`ts\n${read(path)}\`\`\``);
  },
);

test('and the example does what the guide says: old orders are read, wrong ones refused, and the service describes itself', async () => {
  process.env['DATABASE_URL'] = fixture.url;
  const { AppModule, Shop } = await import('../../examples/contracts/shop.js');
  const old = { topic: 'orders.placed', key: 'A1', payload: { id: 'A1', price: '9.50' } };
  await fixture.transaction((tx) => new Outbox().publish(tx, old));
  app = await NestFactory.create(AppModule, { logger: false });
  app.connectMicroservice({ strategy: app.get(WaybillServer) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  const shop = app.get(Shop);
  await shop.place({ id: 'A2', pence: 700, currency: 'EUR' });
  await expect(shop.place({ id: 'A3', pence: -1 })).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' });
  const bookings = async () =>
    (await fixture.database.pool.query<{ id: string }>('select * from booking order by id')).rows;
  await waitUntil(async () => (await bookings()).length === 2, { describe: 'two bookings are stored' });
  expect(await bookings()).toEqual([
    { id: 'A1', pence: 950, currency: 'GBP', source: 'unknown' },
    { id: 'A2', pence: 700, currency: 'EUR', source: '/shop' },
  ]);
  const served = await fetch(`${await app.getUrl()}/asyncapi.json`);
  expect(await served.json()).toMatchObject({
    asyncapi: '3.0.0',
    info: { title: 'The shop', version: '2.0.0' },
    components: {
      messages: { 'orders.placed': { 'x-schema-version': 2, payload: { required: ['id', 'pence'] } } },
    },
  });
});
