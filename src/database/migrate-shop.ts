import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { escapeIdentifier, type Client } from 'pg';
import type { ServiceName } from '../contracts/services.js';
import { ShopError } from '../shop-error.js';

const MIGRATIONS = new URL('../../prisma/', import.meta.url);

/** Prisma's own ledger, column for column, so that `prisma migrate` can take over. */
const LEDGER = `create table if not exists _prisma_migrations (
  id varchar(36) primary key,
  checksum varchar(64) not null,
  finished_at timestamptz,
  migration_name varchar(255) not null,
  logs text,
  rolled_back_at timestamptz,
  started_at timestamptz not null default now(),
  applied_steps_count integer not null default 0
)`;

/**
 * Applies the missing migrations under `prisma/<service>/migrations` of a service, each in a transaction,
 * into the service's own PostgreSQL schema. The caller holds the lock that lets one migrator in at a time.
 * @throws ShopError SHOP_MIGRATION_CHANGED when an applied migration has changed.
 */
export async function migrateShop(client: Client, service: ServiceName): Promise<void> {
  const schema = escapeIdentifier(service);
  await client.query(`create schema if not exists ${schema}`);
  await client.query(`set search_path = ${schema}`);
  await client.query(LEDGER);
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'select migration_name as name, checksum from _prisma_migrations where finished_at is not null',
  );
  const applied = new Map(rows.map(({ name, checksum }) => [name, checksum]));
  for (const migration of await readMigrations(service)) {
    const checksum = applied.get(migration.name);
    if (checksum === undefined) await apply(client, migration);
    else if (checksum !== migration.checksum) throw changed(service, migration.name);
  }
  await client.query('reset search_path');
}

interface ShopMigration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

async function readMigrations(service: ServiceName): Promise<ShopMigration[]> {
  const folder = new URL(`${service}/migrations/`, MIGRATIONS);
  const names = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  return Promise.all(
    names
      .map(({ name }) => name)
      .sort()
      .map(async (name) => {
        const sql = await readFile(new URL(`${name}/migration.sql`, folder), 'utf8');
        return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
      }),
  );
}

async function apply(client: Client, migration: ShopMigration): Promise<void> {
  await client.query('begin');
  try {
    await client.query(migration.sql);
    await client.query(
      `insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
       values ($1, $2, $3, clock_timestamp(), 1)`,
      [randomUUID(), migration.checksum, migration.name],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

function changed(service: ServiceName, name: string): ShopError {
  return new ShopError(
    'SHOP_MIGRATION_CHANGED',
    `Migration ${name} of ${service} was applied and has been changed since. Restore it and add a new migration.`,
  );
}
