import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { testDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';
import { SERVICES, type ServiceName } from '../../src/contracts/services.js';
import { type PreparedDatabases, prepareDatabases } from '../../src/database/prepare-database.js';
import { dropServiceRoles, serviceRole } from '../../src/database/service-roles.js';

const OWN_TABLE: Readonly<Record<ServiceName, string>> = {
  orders: 'orders.customer_order',
  inventory: 'inventory.stock',
  payments: 'payments.ledger_entry',
};

let database: TestDatabase;
let ledger: TestDatabase;
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

function prepareBoth(): Promise<PreparedDatabases> {
  return prepareDatabases(database.connectionString, ledger.connectionString);
}

/** Where a service's tables are. */
function home(service: ServiceName): TestDatabase {
  return service === 'payments' ? ledger : database;
}

async function dropRoles(name: string): Promise<void> {
  const client = new pg.Client({ connectionString: testServerUrl() });
  await client.connect();
  try {
    await dropServiceRoles(client, name);
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  database = await testDatabase('shop');
  ledger = await testDatabase('shop_ledger');
  // Three services that start at once.
  [prepared] = (await Promise.all(SERVICES.map(() => prepareBoth()))) as [PreparedDatabases];
});

afterAll(async () => {
  await database.drop();
  await ledger.drop();
  await dropRoles(database.name);
  await dropRoles(ledger.name);
});

describe('the services of the shop', () => {
  test('have a role each, from their first statement on', async () => {
    expect(prepared.isolated).toBe(true);
    for (const service of SERVICES) {
      const [row] = await query(prepared.connectionStrings[service], 'select current_user::text as role');
      expect(row).toEqual({ role: serviceRole(home(service).name, service) });
    }
    const [row] = await query(prepared.paymentsLog, 'select current_user::text as role');
    expect(row).toEqual({ role: serviceRole(database.name, 'payments') });
  });

  for (const service of SERVICES) {
    for (const other of SERVICES) {
      test(`${service} ${service === other ? 'reads its own tables' : `may not read those of ${other}`}`, async () => {
        const reading = query(
          prepared.connectionStrings[service],
          `select count(*) from ${OWN_TABLE[other]}`,
        );
        if (service === other) expect(await reading).toEqual([{ count: '0' }]);
        // Forbidden, or not even there.
        else await expect(reading).rejects.toMatchObject({ code: expect.stringMatching(/^(42501|42P01)$/) });
      });
    }
  }

  test('payments may not read the tables of others where the log is', async () => {
    for (const service of ['orders', 'inventory'] as const) {
      const reading = query(prepared.paymentsLog, `select count(*) from ${OWN_TABLE[service]}`);
      await expect(reading).rejects.toMatchObject({ code: '42501' });
    }
  });

  test('may use what is Waybill, and create nothing', async () => {
    for (const service of SERVICES) {
      const url = prepared.connectionStrings[service];
      expect(await query(url, 'select count(*)::int as n from waybill.topic')).toEqual([{ n: 0 }]);
      for (const schema of ['waybill', service]) {
        await expect(query(url, `create table ${schema}.mine (id int)`)).rejects.toMatchObject({
          code: '42501',
        });
      }
    }
  });
});

describe('the migrations of the shop', () => {
  test('leave no outbox where payments keeps its ledger', async () => {
    const outboxOf = ({ connectionString }: TestDatabase) =>
      query(connectionString, `select to_regclass('waybill.outbox') is not null as outbox`);
    expect(await outboxOf(database)).toEqual([{ outbox: true }]);
    expect(await outboxOf(ledger)).toEqual([{ outbox: false }]);
  });

  test('are in the ledger that Prisma keeps, once', async () => {
    await prepareBoth();
    for (const service of SERVICES) {
      const rows = await query(
        home(service).connectionString,
        `select migration_name as name, applied_steps_count as steps, length(checksum) as length
           from ${service}._prisma_migrations where finished_at is not null`,
      );
      expect(rows).toEqual([{ name: '0001_initial', steps: 1, length: 64 }]);
    }
  });

  test('that were changed after they were applied are refused', async () => {
    const copy = await testDatabase('shop_changed');
    try {
      const prepareCopy = () => prepareDatabases(database.connectionString, copy.connectionString);
      await prepareCopy();
      await query(copy.connectionString, `update payments._prisma_migrations set checksum = 'other'`);
      await expect(prepareCopy()).rejects.toMatchObject({
        code: 'SHOP_MIGRATION_CHANGED',
      });
    } finally {
      await copy.drop();
      await dropRoles(copy.name);
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
      const { isolated, connectionStrings } = await prepareDatabases(url.href, url.href);
      expect(isolated).toBe(false);
      expect(connectionStrings).toEqual({ orders: url.href, inventory: url.href, payments: url.href });
      expect(await query(url.href, 'select count(*) from inventory.stock')).toEqual([{ count: '0' }]);
    } finally {
      await plain.drop();
      await query(testServerUrl(), `drop role if exists ${role}`);
    }
  });
});
