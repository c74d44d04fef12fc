import { testDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';
import { SERVICES, type ServiceName } from '../../src/contracts/services.js';
import { dropLogins } from '../../src/database/logins.js';
import type { ShopDatabases } from '../../src/database/prepare-database.js';

/** A database for each service, and one for the bus. */
export class ShopTestDatabases {
  private constructor(private readonly databases: Readonly<Record<ServiceName | 'bus', TestDatabase>>) {}

  /** @param prefix of their names */
  static async create(prefix: string): Promise<ShopTestDatabases> {
    return new ShopTestDatabases({
      orders: await testDatabase(`${prefix}_orders`),
      inventory: await testDatabase(`${prefix}_inventory`),
      payments: await testDatabase(`${prefix}_payments`),
      bus: await testDatabase(`${prefix}_bus`),
    });
  }

  /** Connection strings of the owner. */
  get urls(): ShopDatabases {
    const { orders, inventory, payments, bus } = this.databases;
    return {
      orders: orders.connectionString,
      inventory: inventory.connectionString,
      payments: payments.connectionString,
      bus: bus.connectionString,
    };
  }

  of(name: ServiceName | 'bus'): TestDatabase {
    return this.databases[name];
  }

  /** Removes them and their logins. */
  async drop(): Promise<void> {
    for (const name of [...SERVICES, 'bus'] as const) {
      const database = this.of(name);
      await database.drop();
      await dropShopLogins(database.name);
    }
  }
}

/** Removes the logins of a database, which belong to the whole server. */
export async function dropShopLogins(database: string): Promise<void> {
  const client = new pg.Client({ connectionString: testServerUrl() });
  await client.connect();
  try {
    await dropLogins(client, database);
  } finally {
    await client.end();
  }
}
