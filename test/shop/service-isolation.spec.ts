import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { type DatabasePart, type Role } from '@waybill/schema';
import { compareWithRole } from '@waybill/schema/internal';
import { testDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';
import { SERVICES, type ServiceName } from '../../src/contracts/services.js';
import { type PreparedDatabases, prepareDatabases } from '../../src/database/prepare-database.js';
import { dropLogins, loginOf } from '../../src/database/logins.js';

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
    await dropLogins(client, name);
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
  test('have a login each', async () => {
    expect(prepared.isolated).toBe(true);
    for (const service of SERVICES) {
      const [row] = await query(prepared.connectionStrings[service], 'select session_user::text as role');
      expect(row).toEqual({ role: loginOf(home(service).name, service) });
    }
    const [row] = await query(prepared.paymentsLog, 'select session_user::text as role');
    expect(row).toEqual({ role: loginOf(database.name, 'payments') });
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

  test("payments may not read the tables of others in the log's database", async () => {
    for (const service of ['orders', 'inventory'] as const) {
      const reading = query(prepared.paymentsLog, `select count(*) from ${OWN_TABLE[service]}`);
      await expect(reading).rejects.toMatchObject({ code: '42501' });
    }
  });

  test('have the rights of their roles, and no other rights', async () => {
    const logins: [url: string, service: ServiceName, role: Role, part: DatabasePart][] = [
      [database.connectionString, 'orders', 'service', 'whole'],
      [database.connectionString, 'inventory', 'service', 'whole'],
      [database.connectionString, 'payments', 'service', 'bus'],
      [ledger.connectionString, 'payments', 'participant', 'participant'],
    ];
    for (const [connectionString, service, role, part] of logins) {
      const owner = new PgDatabase({ connectionString, connectionsMax: 1 });
      const name = new URL(connectionString).pathname.slice(1);
      const login = loginOf(name, service);
      try {
        const found = await compareWithRole(owner.session, { roles: [role], part, login });
        expect(found).toEqual({ login, missing: [], excess: [], powers: [], memberOf: [], members: [] });
      } finally {
        await owner.close();
      }
    }
  });

  test('read the messages that they handle, and create nothing', async () => {
    for (const service of SERVICES) {
      for (const schema of ['waybill', service]) {
        const creation = query(prepared.connectionStrings[service], `create table ${schema}.mine (id int)`);
        await expect(creation).rejects.toMatchObject({ code: '42501' });
      }
    }
    const publish = (url: string, topic: string) =>
      query(url, `select waybill.publish('${topic}', 'k', '{}')`);
    for (const url of [prepared.connectionStrings.inventory, prepared.paymentsLog])
      await expect(publish(url, 'orders.confirmed')).rejects.toMatchObject({ code: 'WB040' });
    await publish(prepared.paymentsLog, 'orders.saga-replies').catch((error: unknown) => {
      // It may: the topic just does not exist before orders has started.
      expect(error).toMatchObject({ code: 'WB001' });
    });
  });
});

describe('the migrations of the shop', () => {
  test('leave no outbox in the ledger database of payments', async () => {
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
