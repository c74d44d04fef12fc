import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { type TestDatabase, testDatabase } from '@waybill/testing';
import pg from 'pg';
import {
  assertMigrated,
  BUS_MIGRATIONS,
  migrate,
  migrationSql,
  migrationStatus,
  SERVICE_MIGRATIONS,
} from '../src/index.js';
import { describeSchema } from './describe-schema.js';

const SNAPSHOT = new URL('../schema-snapshot.txt', import.meta.url);

describe('the migrator', () => {
  let database: TestDatabase;
  let client: pg.Client;
  beforeEach(async () => {
    database = await testDatabase('schema');
    client = new pg.Client({ connectionString: database.connectionString });
    await client.connect();
  });
  afterEach(async () => {
    await client.end();
    await database.drop();
  });

  const ofService = SERVICE_MIGRATIONS.map(({ name }) => `service/${name}`);
  const ofBus = BUS_MIGRATIONS.map(({ name }) => `bus/${name}`);
  const names = [...ofService, ...ofBus];
  /** Both parts. */
  const describeBoth = async (schema: string): Promise<string> =>
    (await describeSchema(client, schema)) + (await describeSchema(client, `${schema}_bus`));

  test('creates the schema committed as schema-snapshot.txt', async () => {
    await migrate(database);
    const described = await describeBoth('waybill');
    // After a new migration: WAYBILL_WRITE_SNAPSHOT=1 npm test -- libs/schema, and review the difference.
    if (process.env['WAYBILL_WRITE_SNAPSHOT'] === '1') writeFileSync(SNAPSHOT, described);
    expect(described).toBe(readFileSync(SNAPSHOT, 'utf8'));
  });

  test('applies each migration once, even if four processes migrate at the same time', async () => {
    const applied = await Promise.all([1, 2, 3, 4].map(() => migrate(database)));
    expect(applied.flat().toSorted()).toEqual(names.toSorted());
    expect(await migrate(database)).toEqual([]);
    expect((await migrationStatus(database)).every(({ appliedAt }) => appliedAt !== null)).toBe(true);
  });

  test('works in a schema of another name, next to the first, and as plain SQL', async () => {
    await migrate(database);
    await migrate({ ...database, schema: 'billing' });
    await client.query(migrationSql('by_hand'));
    expect(await migrate({ ...database, schema: 'by_hand' })).toEqual([]);
    for (const schema of ['billing', 'by_hand']) {
      const described = (await describeBoth(schema)).replaceAll(schema, 'waybill');
      expect(described).toBe(readFileSync(SNAPSHOT, 'utf8'));
      await client.query(
        `insert into ${schema}.topic (id, name, partition_count, retention_ms, on_dead_letter, on_expired)
         values (1, 't', 1, 1000, 'unblock', 'dead-letter')`,
      );
      await client.query(`select ${schema}.publish('t', 'k', '{"n": 1}')`);
      const { rows } = await client.query(`select * from ${schema}.relay_begin(10, 1000)`);
      expect(rows[0]).toMatchObject({ state: 'ready', row_count: 1 });
    }
  });

  test.each(['a b', 'A', '1a', 'pg_x', 'x'.repeat(64), 'a"; drop table b; --'])(
    'refuses the schema name %s',
    async (schema) => {
      await expect(migrate({ ...database, schema })).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
      expect(() => migrationSql(schema)).toThrow();
    },
  );

  test('reports what is missing, changed, or too new', async () => {
    const own = new PgDatabase(database);
    try {
      await expect(assertMigrated(own.session, 'service')).rejects.toMatchObject({
        code: 'MIGRATION_REQUIRED',
      });
      await migrate(database);
      await assertMigrated(own.session, 'service');
      await client.query(
        `insert into waybill.migration (number, name, checksum, breaking) values (900, 'additive', 'x', false)`,
      );
      await assertMigrated(own.session, 'service');
      expect(await migrate(database)).toEqual([]);
      await client.query(
        `insert into waybill.migration (number, name, checksum, breaking) values (901, 'later', 'x', true)`,
      );
      await expect(assertMigrated(own.session, 'service')).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' });
      await client.query('delete from waybill.migration where number >= 900');
      await client.query(`update waybill.migration set checksum = 'other' where number = 2`);
      await expect(migrate(database)).rejects.toMatchObject({ code: 'MIGRATION_CHANGED' });
      await client.query('delete from waybill.migration where number >= 2');
      await expect(assertMigrated(own.session, 'service')).rejects.toThrow(
        `at migration 1; this release needs ${SERVICE_MIGRATIONS.length}`,
      );
    } finally {
      await own.close();
    }
  });

  test('ignores foreign search paths, and startup refuses one that puts a schema ahead of pg_catalog', async () => {
    await client.query(`
      create schema theirs;
      create function theirs.clock_timestamp() returns timestamptz language plpgsql as
        $$ begin raise exception 'called theirs'; end $$;
      create domain theirs.text as pg_catalog.text check (false)`);
    const url = new URL(database.connectionString);
    url.searchParams.set('options', '-c search_path=theirs,pg_catalog');
    const refusal = {
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining('theirs before pg_catalog'),
    };
    await expect(migrate({ connectionString: url.toString() })).rejects.toMatchObject(refusal);
    await client.query(`set search_path = theirs, pg_catalog; ${migrationSql('by_hand')}; reset search_path`);
    expect(await migrate({ ...database, schema: 'by_hand' })).toEqual([]);
    const own = new PgDatabase({ connectionString: url.toString() });
    try {
      await expect(assertMigrated(own.session, 'service')).rejects.toMatchObject(refusal);
    } finally {
      await own.close();
    }
  });

  test('gives a service no log, a bus no outbox, and the other part on request', async () => {
    const own = new PgDatabase(database);
    const areThere = async (): Promise<boolean[]> => {
      const { rows } = await client.query<{ exists: boolean }>(
        `select to_regclass(t) is not null as exists
           from unnest(array['waybill.outbox', 'waybill.progress_owner', 'waybill_bus.log_batch']) t`,
      );
      return rows.map(({ exists }) => exists);
    };
    const service = { ...database, part: 'service' } as const;
    const bus = { ...database, part: 'bus' } as const;
    try {
      expect(await migrate(service)).toEqual(ofService);
      expect(await areThere()).toEqual([true, true, false]);
      await assertMigrated(own.session, 'service');
      await expect(assertMigrated(own.session, 'bus')).rejects.toMatchObject({ code: 'MIGRATION_REQUIRED' });
      expect((await migrationStatus(service)).every(({ appliedAt }) => appliedAt !== null)).toBe(true);
      expect(await migrate(database)).toEqual(ofBus);
      await client.query('drop schema waybill, waybill_bus cascade');
      expect(await migrate(bus)).toEqual(ofBus);
      expect(await areThere()).toEqual([false, false, true]);
      await assertMigrated(own.session, 'bus');
      await client.query('drop schema waybill_bus cascade');
      await client.query(migrationSql('waybill', 'bus'));
      await assertMigrated(own.session, 'bus');
    } finally {
      await own.close();
    }
  });

  test('leaves no trace of a failed migration', async () => {
    await client.query('create schema waybill; create table waybill.outbox (id int)');
    await expect(migrate(database)).rejects.toThrow(/already exists/);
    const status = await migrationStatus(database);
    expect(status.map(({ appliedAt }) => appliedAt !== null)).toEqual(names.map((_, index) => index < 3));
    await client.query('drop table waybill.outbox');
    expect(await migrate(database)).toEqual(names.slice(3));
  });

  test('reports a database that cannot be reached', async () => {
    const url = new URL(database.connectionString);
    url.port = '1';
    await expect(migrate({ connectionString: url.toString() })).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
  });
});
