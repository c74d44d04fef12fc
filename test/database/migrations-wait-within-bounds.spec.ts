import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { migrate, migrationStatus } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import pg from 'pg';

/** The last migration of a service's schema: it creates the function that is dropped below. */
const LAST = '0022-publish-cost';

let database: TestDatabase;
let other: pg.Client;
beforeEach(async () => {
  database = await testDatabase('migrations');
  const url = new URL(database.connectionString);
  url.searchParams.set('application_name', 'nightly report');
  other = new pg.Client({ connectionString: url.href });
  await other.connect();
});
afterEach(async () => {
  await other.end();
  await database.drop();
});

async function own(): Promise<{ pid: number; login: string }> {
  const { rows } = await other.query<{ pid: number; login: string }>(
    'select pg_backend_pid() as pid, session_user::text as login',
  );
  return rows[0] as { pid: number; login: string };
}

async function waits(query: string): Promise<boolean> {
  // A transaction sees the activity as of its first query.
  await other.query('select pg_stat_clear_snapshot()');
  const { rows } = await other.query(
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query ~ $1`,
    [query],
  );
  return rows.length > 0;
}

describe('a migrator', () => {
  const { stringify } = JSON;
  test('waits for another one for a limited time, and then names it', async () => {
    await other.query(`select pg_advisory_lock(hashtext('waybill.migrate.waybill'))`);
    const { pid, login } = await own();
    const failure = migrate({ ...database, lockTimeoutMs: 300 });
    await expect(failure).rejects.toMatchObject({ code: 'MIGRATION_BLOCKED', retryable: true });
    await expect(failure).rejects.toThrow(
      new RegExp(
        `session ${pid} of ${login}, ${stringify('nightly report')}.* since 20\\d\\d-.*300 ms.*pg_terminate_backend`,
      ),
    );
    expect((await migrationStatus(database)).every(({ appliedAt }) => appliedAt === null)).toBe(true);
  });

  test('continues when the other one ends in time', async () => {
    await other.query(`select pg_advisory_lock(hashtext('waybill.migrate.waybill'))`);
    const migrated = migrate(database);
    await waitUntil(() => waits('pg_advisory_xact_lock'), { describe: 'it waits' });
    await other.query('select pg_advisory_unlock_all()');
    expect((await migrated).length).toBeGreaterThan(5);
  });

  describe('that needs a lock held by another session', () => {
    beforeEach(async () => {
      await migrate(database);
      // As an earlier release left it, without the last migration.
      await other.query(`
        drop function waybill.forget_published;
        delete from waybill.migration where name = '${LAST}'`);
      await other.query('begin; lock table waybill.migration in share mode');
    });

    test('gives way to sessions that queue behind it, retries, and finally names the session', async () => {
      const { pid, login } = await own();
      const failure = migrate({ ...database, ddlLockTimeoutMs: 2_000, ddlAttempts: 2 });
      await expect(failure).rejects.toMatchObject({ code: 'MIGRATION_BLOCKED' });
      await expect(failure).rejects.toThrow(
        new RegExp(`${LAST} .* in 2 attempts of 2000 ms.*session ${pid} of ${login}, "nightly report"`),
      );
      expect(await waits('')).toBe(false);
      await other.query('rollback');
      expect(await migrate(database)).toEqual([`service/${LAST}`]);
    });

    test('continues when the session ends', async () => {
      const migrated = migrate({ ...database, ddlLockTimeoutMs: 200, ddlAttempts: 100 });
      await waitUntil(() => waits('migration'), { describe: 'it waits' });
      await waitUntil(async () => !(await waits('migration')), { describe: 'it gives way' });
      await other.query('rollback');
      expect(await migrated).toEqual([`service/${LAST}`]);
    });
  });

  test.each([{ lockTimeoutMs: 0 }, { ddlAttempts: 0 }, { ddlLockTimeoutMs: 1 }])(
    'refuses %j',
    async (limits) => {
      await expect(migrate({ ...database, ...limits })).rejects.toMatchObject({
        code: 'CONFIGURATION_INVALID',
      });
    },
  );
});
