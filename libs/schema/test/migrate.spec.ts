import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { type TestDatabase, testDatabase } from '@waybill/testing';
import pg from 'pg';
import { assertMigrated, migrate, migrationSql, MIGRATIONS, migrationStatus } from '../src/index.js';
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

  const names = MIGRATIONS.map(({ name }) => name);

  test('creates the schema committed as schema-snapshot.txt', async () => {
    await migrate(database);
    const described = await describeSchema(client, 'waybill');
    // After a new migration: WAYBILL_WRITE_SNAPSHOT=1 npm test -- libs/schema, and review the difference.
    if (process.env['WAYBILL_WRITE_SNAPSHOT'] === '1') writeFileSync(SNAPSHOT, described);
    expect(described).toBe(readFileSync(SNAPSHOT, 'utf8'));
  });

  test('applies each migration once, even if four processes migrate at the same time', async () => {
    const applied = await Promise.all([1, 2, 3, 4].map(() => migrate(database)));
    expect(applied.flat().toSorted()).toEqual(names);
    expect(await migrate(database)).toEqual([]);
    expect((await migrationStatus(database)).every(({ appliedAt }) => appliedAt !== null)).toBe(true);
  });

  test('works in a schema of another name, next to the first, and as plain SQL', async () => {
    await migrate(database);
    await migrate({ ...database, schema: 'billing' });
    await client.query(migrationSql('by_hand'));
    expect(await migrate({ ...database, schema: 'by_hand' })).toEqual([]);
    for (const schema of ['billing', 'by_hand']) {
      const described = (await describeSchema(client, schema)).replaceAll(schema, 'waybill');
      expect(described).toBe(readFileSync(SNAPSHOT, 'utf8'));
      await client.query(
        `insert into ${schema}.topic (name, partition_count, retention_ms) values ('t', 1, 1000)`,
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
      await expect(assertMigrated(own.session)).rejects.toMatchObject({ code: 'MIGRATION_REQUIRED' });
      await migrate(database);
      await assertMigrated(own.session);
      await client.query(
        `insert into waybill.migration (number, name, checksum, breaking) values (900, 'additive', 'x', false)`,
      );
      await assertMigrated(own.session);
      expect(await migrate(database)).toEqual([]);
      await client.query(
        `insert into waybill.migration (number, name, checksum, breaking) values (901, 'later', 'x', true)`,
      );
      await expect(assertMigrated(own.session)).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' });
      await client.query('delete from waybill.migration where number >= 900');
      await client.query(`update waybill.migration set checksum = 'other' where number = 2`);
      await expect(migrate(database)).rejects.toMatchObject({ code: 'MIGRATION_CHANGED' });
      await client.query('delete from waybill.migration where number >= 2');
      await expect(assertMigrated(own.session)).rejects.toThrow(
        `at migration 1; this release needs ${MIGRATIONS.length}`,
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
      await expect(assertMigrated(own.session)).rejects.toMatchObject(refusal);
    } finally {
      await own.close();
    }
  });

  test('gives a participant no outbox, and the rest on request', async () => {
    const own = new PgDatabase(database);
    const areThere = [false, false, false, true, true, true, true];
    const tables = async (): Promise<(string | null)[]> => {
      const { rows } = await client.query<{ table: string | null }>(
        `select to_regclass('waybill.' || t)::text as table
           from unnest(array['outbox', 'relay_cursor', 'timer', 'inbox', 'barrier', 'idempotent_message', 'saga_lock']) t`,
      );
      return rows.map(({ table }) => table);
    };
    const participant = { ...database, participant: true };
    try {
      const applied = await migrate(participant);
      expect(applied).not.toContain('0002-outbox');
      expect((await tables()).map((table) => table !== null)).toEqual(areThere);
      await assertMigrated(own.session, 'participant');
      expect((await migrationStatus(participant)).every(({ appliedAt }) => appliedAt !== null)).toBe(true);
      await expect(assertMigrated(own.session)).rejects.toMatchObject({ code: 'MIGRATION_REQUIRED' });
      expect(await migrate(participant)).toEqual([]);
      expect([...applied, ...(await migrate(database))].toSorted()).toEqual(names);
      expect(await tables()).not.toContain(null);
      await client.query('drop schema waybill cascade');
      await client.query(migrationSql('waybill', 'participant'));
      await assertMigrated(own.session, 'participant');
    } finally {
      await own.close();
    }
  });

  test('leaves no trace of a failed migration', async () => {
    await client.query('create schema waybill; create table waybill.consumer_group (x int)');
    await expect(migrate(database)).rejects.toThrow(/already exists/);
    const status = await migrationStatus(database);
    expect(status.map(({ appliedAt }) => appliedAt !== null)).toEqual(names.map((_, index) => index < 2));
    await client.query('drop table waybill.consumer_group');
    expect(await migrate(database)).toEqual(names.slice(2));
  });

  test('reports a database that cannot be reached', async () => {
    const url = new URL(database.connectionString);
    url.port = '1';
    await expect(migrate({ connectionString: url.toString() })).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
  });
});
