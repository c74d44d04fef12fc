import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller, type INestApplication } from '@nestjs/common';
import { Ctx, EventPattern } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Waybill, type WaybillContext, WaybillModule, WaybillServer } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture } from '../support/fixture.js';

@Controller()
class Orders {
  @EventPattern<string>('orders')
  handle(@Ctx() context: WaybillContext<pg.PoolClient>): Promise<unknown> {
    return context.transaction.query('insert into effect (topic, n) values ($1, $2)', [
      context.topic,
      context.offset,
    ]);
  }
}

let fixture: Fixture;
let app: INestApplication;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 2 } });
});
afterEach(() => fixture.close());

const create = async (startFrom: 'earliest' | 'latest' = 'earliest'): Promise<INestApplication> => {
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: { connectionString: fixture.url },
        group: 'shop',
        consumer: { leaseMs: 20_000, heartbeatMs: 200, pollMaxMs: 50, drainMs: 1_000, startFrom },
      }),
    ],
    controllers: [Orders],
  }).compile();
  module.useLogger(false);
  app = module.createNestApplication();
  return app;
};
const connect = (): unknown => app.connectMicroservice({ strategy: app.get(WaybillServer) });
const members = (): Promise<number> => fixture.value('select count(*)::int from waybill_bus.group_member');
const effects = (): Promise<number> => fixture.value('select count(*)::int from effect');

describe('an application that listens twice', () => {
  test('by starting its microservices twice, together or one after the other, has one member, which leaves on close', async () => {
    await create();
    connect();
    await Promise.all([app.startAllMicroservices(), app.startAllMicroservices()]);
    await app.startAllMicroservices();
    await fixture.publish(1);
    await waitUntil(async () => (await effects()) === 1, { describe: 'the message is handled' });
    expect(await members()).toBe(1);
    await app.close();
    expect(await members()).toBe(0);
  });

  test('by connecting its server twice gets an error, and leaves no member in the group', async () => {
    await create();
    connect();
    connect();
    await expect(app.startAllMicroservices()).rejects.toThrow(/connectMicroservice\(\) once/);
    await app.close();
    expect(await members()).toBe(0);
  });

  test('by connecting its server again while it listens gets an error', async () => {
    await create();
    connect();
    await app.startAllMicroservices();
    expect(connect).toThrow(/connectMicroservice\(\) once/);
    await app.close();
    expect(await members()).toBe(0);
  });

  test('by consuming in addition to its server gets an error', async () => {
    await create();
    connect();
    await app.startAllMicroservices();
    await expect(app.get(Waybill).consume({ subscriptions: [] })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
    });
    await app.close();
    await expect(app.get(Waybill).consume({ subscriptions: [] })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
    });
    expect(await members()).toBe(0);
  });
});

test('a group that starts from the latest misses nothing of a topic that is created while it consumes', async () => {
  await fixture.close();
  fixture = await Fixture.create({});
  await create('latest');
  connect();
  await app.startAllMicroservices();
  await waitUntil(async () => (await members()) === 1, { describe: 'it has joined' });
  await fixture.topics.create('orders', { partitions: 4 });
  for (let n = 0; n < 20; n += 1) await fixture.publish(n);
  await waitUntil(async () => (await effects()) >= 20, { describe: 'every message is handled' });
  expect(await effects()).toBe(20);
  await app.close();
});

test('a group that starts from the latest skips what was stored before it joined', async () => {
  await fixture.publish(1);
  await fixture.moveAll();
  await create('latest');
  connect();
  await app.startAllMicroservices();
  await waitUntil(
    async () => (await fixture.value('select count(*)::int from waybill.consumer_position')) === 2,
    {
      describe: 'it has started on both partitions',
    },
  );
  await fixture.publish(2);
  await waitUntil(async () => (await effects()) >= 1, { describe: 'the next message is handled' });
  expect(await effects()).toBe(1);
  await app.close();
});
