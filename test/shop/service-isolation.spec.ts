import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { compareWithRole } from '@waybill/schema/internal';
import { testDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';
import { SERVICES, type ServiceName } from '../../src/contracts/services.js';
import { type PreparedDatabases, prepareDatabases } from '../../src/database/prepare-database.js';
import { loginOf } from '../../src/database/logins.js';
import { dropShopLogins, ShopTestDatabases } from './shop-databases.js';

const OWN_TABLE: Readonly<Record<ServiceName, string>> = {
  orders: 'orders.customer_order',
  inventory: 'inventory.stock',
  payments: 'payments.ledger_entry',
};

let databases: ShopTestDatabases;
let prepared: PreparedDatabases;

async function query(connectionString: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query(text)).rows as unknown[];
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  databases = await ShopTestDatabases.create('shop');
  // Three services that start at once.
  [prepared] = (await Promise.all(SERVICES.map(() => prepareDatabases(databases.urls)))) as [
    PreparedDatabases,
  ];
});

afterAll(async () => {
  await databases.drop();
});

describe('the services of the shop', () => {
  test('have a login each, on their own database and on the bus', async () => {
    expect(prepared.isolated).toBe(true);
    const role = 'select session_user::text as role';
    for (const service of SERVICES) {
      const own = await query(prepared.connectionStrings[service], role);
      expect(own).toEqual([{ role: loginOf(databases.of(service).name, service) }]);
      const bus = await query(prepared.busConnectionStrings[service], role);
      expect(bus).toEqual([{ role: loginOf(databases.of('bus').name, service) }]);
    }
  });

  for (const service of SERVICES) {
    for (const other of SERVICES) {
      test(`${service} ${service === other ? 'reads its own tables' : `may not read those of ${other}`}`, async () => {
        const url = new URL(prepared.connectionStrings[service]);
        url.pathname = new URL(databases.urls[other]).pathname;
        const reading = query(url.href, `select count(*) from ${OWN_TABLE[other]}`);
        if (service === other) expect(await reading).toEqual([{ count: '0' }]);
        else await expect(reading).rejects.toMatchObject({ code: '42501' });
      });
    }
  }

  test('have the rights of their roles, and no other rights', async () => {
    for (const service of SERVICES) {
      for (const [name, part] of [
        [service, 'service'],
        ['bus', 'bus'],
      ] as const) {
        const database = databases.of(name);
        const owner = new PgDatabase({ connectionString: database.connectionString, connectionsMax: 1 });
        const login = loginOf(database.name, service);
        try {
          const found = await compareWithRole(owner.session, { roles: ['service'], part, login });
          expect(found).toEqual({ login, missing: [], excess: [], powers: [], memberOf: [], members: [] });
        } finally {
          await owner.close();
        }
      }
    }
  });

  test('create nothing', async () => {
    for (const service of SERVICES) {
      for (const [url, schema] of [
        [prepared.connectionStrings[service], 'waybill'],
        [prepared.connectionStrings[service], service],
        [prepared.busConnectionStrings[service], 'waybill_bus'],
      ] as const)
        await expect(query(url, `create table ${schema}.mine (id int)`)).rejects.toMatchObject({
          code: '42501',
        });
    }
  });
});

describe('on the bus', () => {
  /** What appending one message to a topic as the next pass of a source runs into; undefined if nothing. */
  async function append(
    service: ServiceName,
    topic: string,
    source: string = randomUUID(),
  ): Promise<unknown> {
    const client = new pg.Client({ connectionString: prepared.busConnectionStrings[service] });
    await client.connect();
    try {
      await client.query('begin');
      await client.query(
        `select waybill_bus.log_hand_over($1, 1, 1, gen_random_uuid(), null, array[p.id], array[1], array[1], array[0], 'x')
           from waybill_bus.topic_partition p join waybill_bus.topic t on t.id = p.topic_id
          where t.name = $2 and p.number = 0`,
        [source, topic],
      );
      return undefined;
    } catch (error) {
      return (error as { readonly code?: string }).code;
    } finally {
      await client.query('rollback').catch(() => {});
      await client.end();
    }
  }

  test('a service appends to the topics that it publishes to, and to no others', async () => {
    expect(await append('orders', 'orders.confirmed')).toBeUndefined();
    expect(await append('orders', 'payments.charge')).toBeUndefined();
    for (const service of ['inventory', 'payments'] as const) {
      expect(await append(service, 'orders.confirmed')).toBe('WB040');
      expect(await append(service, 'payments.charge')).toBe('WB040');
    }
  });

  test('a service appends for itself only', async () => {
    const source = randomUUID();
    await query(
      databases.urls.bus,
      `insert into waybill_bus.source (service_id, login)
       values ('${source}', '${loginOf(databases.of('bus').name, 'payments')}')`,
    );
    expect(await append('orders', 'orders.confirmed', source)).toBe('WB040');
  });

  test('a service sees only its own groups, and no records of topics that it does not handle', async () => {
    const appended = `select waybill_bus.log_append(array[p.id], array[1], array[1], array[0::bigint], array[-1], 'x', -1, 'on')
      from waybill_bus.topic_partition p join waybill_bus.topic t on t.id = p.topic_id
     where t.name = 'payments.charge' and p.number = 0`;
    await query(databases.urls.bus, appended);
    for (const service of SERVICES)
      await query(
        databases.urls.bus,
        `insert into waybill_bus.consumer_group (name, service_id) values ('${service}', gen_random_uuid())`,
      );
    const seen = async (service: ServiceName, text: string) =>
      query(prepared.busConnectionStrings[service], text);
    for (const service of SERVICES) {
      expect(await seen(service, 'select name from waybill_bus.consumer_group')).toEqual([{ name: service }]);
      const records = await seen(service, 'select count(*)::int as records from waybill_bus.log_batch');
      expect(records).toEqual([{ records: service === 'payments' ? 1 : 0 }]);
    }
  });
});

describe('the migrations of the shop', () => {
  test('put the log into the database of the bus only, and an outbox into those of the services', async () => {
    for (const name of [...SERVICES, 'bus'] as const) {
      const found = await query(
        databases.urls[name],
        `select to_regclass('waybill.outbox') is not null as outbox,
                to_regclass('waybill_bus.log_batch') is not null as log`,
      );
      expect(found).toEqual([{ outbox: name !== 'bus', log: name === 'bus' }]);
    }
  });

  test('are in the ledger that Prisma keeps, once', async () => {
    await prepareDatabases(databases.urls);
    for (const service of SERVICES) {
      const rows = await query(
        databases.urls[service],
        `select migration_name as name, applied_steps_count as steps, length(checksum) as length
           from ${service}._prisma_migrations where finished_at is not null`,
      );
      expect(rows).toEqual([{ name: '0001_initial', steps: 1, length: 64 }]);
    }
  });

  test('that were changed after they were applied are refused', async () => {
    const copy = await testDatabase('shop_changed');
    try {
      const prepareCopy = () => prepareDatabases({ ...databases.urls, payments: copy.connectionString });
      await prepareCopy();
      await query(copy.connectionString, `update payments._prisma_migrations set checksum = 'other'`);
      await expect(prepareCopy()).rejects.toMatchObject({
        code: 'SHOP_MIGRATION_CHANGED',
      });
    } finally {
      await copy.drop();
      await dropShopLogins(copy.name);
    }
  });
});

describe('a login that may not create roles', () => {
  test('runs the services as itself', async () => {
    const plain = await testDatabase('shop_plain');
    const role = `${plain.name}_login`;
    try {
      await query(plain.connectionString, `create role ${role} login password 'pass'`);
      await query(plain.connectionString, `grant create on database ${plain.name} to ${role}`);
      const url = new URL(plain.connectionString);
      url.username = role;
      url.password = 'pass';
      const { isolated, connectionStrings } = await prepareDatabases({
        orders: url.href,
        inventory: url.href,
        payments: url.href,
        bus: url.href,
      });
      expect(isolated).toBe(false);
      expect(connectionStrings).toEqual({ orders: url.href, inventory: url.href, payments: url.href });
      expect(await query(url.href, 'select count(*) from inventory.stock')).toEqual([{ count: '0' }]);
    } finally {
      await plain.drop();
      await query(testServerUrl(), `drop role if exists ${role}`);
    }
  });
});
