import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import type { Logger } from '@waybill/kernel';
import { Waybill, WaybillModule, type WaybillModuleOptions, WaybillServer } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { RoleBus } from '../support/role-bus.js';

let bus: RoleBus;
let url: string;
let ownUrl: string;
beforeAll(async () => {
  bus = await RoleBus.create();
  url = await bus.database('grants');
  ownUrl = await bus.database('grants_own', 'service');
  await bus
    .as('owner', url)
    .pool.query(`select waybill_bus.topic_create('orders', 1, 604800000, 'unblock', 'drop')`);
  await bus.grant('service', url, { roles: ['service'] });
  await bus.grant('api', url, { roles: ['publisher'] });
  await bus.grant('guest', url, { roles: ['service'], part: 'bus' });
  await bus.grant('guest', ownUrl, { roles: ['service'], part: 'service' });
});
afterAll(() => bus.close());

@Controller()
class Orders {
  @EventPattern<string>('orders')
  take(@Payload() _order: unknown): void {
    // The delivery is what counts.
  }
}

function as(login: string, database: string): { connectionString: string } {
  return { connectionString: bus.urlOf(login, database) };
}

type Options = Omit<Partial<WaybillModuleOptions>, 'group'> & { readonly group?: string | null };

/** Starts a service, lets each of its loops make a pass, and returns the problems that it logged. */
async function complaints({ group = 'shop', ...options }: Options): Promise<string[]> {
  const lines: string[] = [];
  const complain = (line: string): void => void lines.push(line);
  const logger: Logger = { debug() {}, info() {}, warn: complain, error: complain };
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: as('service', url),
        logger,
        ...(group === null ? {} : { group }),
        ...options,
      }),
    ],
    controllers: [Orders],
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  // Without them a service that has run for some seconds is told so, as a slow one has.
  app.enableShutdownHooks();
  try {
    await app.listen();
    const { guards, halves, relay, scheduler, sagas, outbox } = app.get(Waybill);
    const loops = [guards.retention, halves.checker, relay, scheduler, sagas.retention].map(
      (part) => part?.service,
    );
    await waitUntil(
      () =>
        lines.length > 0 || loops.every((loop) => loop?.running !== true || loop.lastPassAgeMs !== undefined),
      { describe: 'every loop has made a pass' },
    );
    const database = new pg.Client((options.database ?? as('service', url)).connectionString);
    await database.connect();
    await database.query('begin');
    await outbox.publish(database, { topic: 'orders', key: 'a', payload: {} });
    await database.query('commit');
    await database.end();
  } finally {
    await app.close();
  }
  return lines;
}

const SWITCHES = [true, false].flatMap((relay) => [true, false].map((consumer) => ({ relay, consumer })));

test.each(SWITCHES)('a service of one database: %j', async (switches) => {
  expect(await complaints(switches)).toEqual([]);
});

test.each(['shop', null])('a process that only publishes, of group %j', async (group) => {
  const database = as('api', url);
  expect(await complaints({ group, database, relay: false, consumer: false })).toEqual([]);
});

test.each(SWITCHES)('a service whose log is in another database: %j', async (switches) => {
  const options = { group: 'stock', database: as('guest', ownUrl), bus: as('guest', url) };
  expect(await complaints({ ...options, ...switches })).toEqual([]);
});
