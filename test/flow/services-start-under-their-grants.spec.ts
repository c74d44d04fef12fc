import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import type { Logger } from '@waybill/kernel';
import { Waybill, WaybillModule, type WaybillModuleOptions, WaybillServer } from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Fixture } from '../support/fixture.js';

const OPERATIONS = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8');
const GRANTS = /## Privileges[\s\S]*?```sql\n([\s\S]*?)```/.exec(OPERATIONS)?.[1] ?? '';
const PASSWORD = 'secret';

let fixture: Fixture;
let participant: TestDatabase;
let clients: { readonly bus: pg.Client; readonly participant: pg.Client };
const roles = new Map<string, string>();
beforeAll(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  participant = await testDatabase('grants');
  await migrate({ connectionString: participant.connectionString, participant: true });
  clients = {
    bus: new pg.Client(fixture.url),
    participant: new pg.Client(participant.connectionString),
  };
  for (const client of Object.values(clients)) await client.connect();
  for (const role of ['shop_service', 'shop_api', 'shop_handlers', 'monitor']) {
    const name = `${role}_${participant.name.slice(-10)}`;
    roles.set(role, name);
    await clients.bus.query(`create role ${name} login password '${PASSWORD}'`);
  }
  for (const [role, sql] of sections()) {
    const client = role === 'shop_handlers' ? clients.participant : clients.bus;
    await client.query(sql.replaceAll(new RegExp(`\\b${role}\\b`, 'g'), roles.get(role) ?? ''));
  }
});
afterAll(async () => {
  for (const client of Object.values(clients))
    for (const role of roles.values()) await client.query(`drop owned by ${role}`);
  for (const role of roles.values()) await clients.bus.query(`drop role ${role}`);
  for (const client of Object.values(clients)) await client.end();
  await fixture.close();
  await participant.drop();
});

/** What OPERATIONS.md grants, by role. */
function sections(): [role: string, sql: string][] {
  return GRANTS.split(/\n\n(?=-- )/).map((sql) => [/ to (\w+)/.exec(sql)?.[1] ?? '', sql]);
}

@Controller()
class Orders {
  @EventPattern<string>('orders')
  take(@Payload() _order: unknown): void {
    // The delivery is what counts.
  }
}

function as(role: string, connectionString: string): { connectionString: string } {
  const url = new URL(connectionString);
  url.username = roles.get(role) ?? '';
  url.password = PASSWORD;
  return { connectionString: url.href };
}

type Options = Omit<Partial<WaybillModuleOptions>, 'group'> & { readonly group?: string | null };

/** Starts a service, lets everything that it runs have a pass, and returns what it has complained of. */
async function complaints({ group = 'shop', ...options }: Options): Promise<string[]> {
  const lines: string[] = [];
  const complain = (line: string): void => void lines.push(line);
  const logger: Logger = { debug() {}, info() {}, warn: complain, error: complain };
  const module = await Test.createTestingModule({
    imports: [
      WaybillModule.forRoot({
        database: as('shop_service', fixture.url),
        logger,
        ...(group === null ? {} : { group }),
        ...options,
      }),
    ],
    controllers: [Orders],
  }).compile();
  module.useLogger(false);
  const app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
  try {
    await app.listen();
    const { guards, halves, relay, scheduler, sagas, outbox } = app.get(Waybill);
    const loops = [guards.retention, halves.checker, relay, scheduler, sagas.retention].map(
      (part) => part?.service,
    );
    await waitUntil(
      () =>
        lines.length > 0 || loops.every((loop) => loop?.running !== true || loop.lastPassAgeMs !== undefined),
      { describe: 'everything has had a pass' },
    );
    const database = new pg.Client((options.database ?? as('shop_service', fixture.url)).connectionString);
    await database.connect();
    await database.query('begin');
    if (outbox.isOpen) await outbox.publish(database, { topic: 'orders', key: 'a', payload: {} });
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
  const database = as('shop_api', fixture.url);
  expect(await complaints({ group, database, relay: false, consumer: false })).toEqual([]);
});

test.each([true, false])('a service whose log is in another database, consumer: %j', async (consumer) => {
  const bus = as('shop_service', fixture.url);
  const database = as('shop_handlers', participant.connectionString);
  expect(await complaints({ database, bus, relay: false, consumer })).toEqual([]);
});
