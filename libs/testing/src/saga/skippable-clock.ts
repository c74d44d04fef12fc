import type { PgDatabase } from '@waybill/kernel';
import pg from 'pg';
import { TestingError } from '../testing-error.js';

/** PostgreSQL's time functions, and whether a statement sees only one time. */
const TIMES = {
  clock_timestamp: 'volatile',
  now: 'stable',
  transaction_timestamp: 'stable',
  statement_timestamp: 'stable',
} as const;

/**
 * The clock of one database, which can be put forward: its time functions add what was skipped. Install it
 * before anything else is created in the database, because defaults and functions keep the function with which they
 * were created.
 * @throws TestingError SUPERUSER_REQUIRED
 */
export async function installClock(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ super: string }>(`select current_setting('is_superuser') as super`);
    if (rows[0]?.super !== 'on')
      throw new TestingError(
        'SUPERUSER_REQUIRED',
        'The user of DATABASE_URL is not a superuser, and only a superuser can put the clock of a database forward. Use a ' +
          'superuser, or unset DATABASE_URL to use an embedded PostgreSQL.',
      );
    await client.query(clockSql());
    // Otherwise the tables of a service whose user has the name of Waybill's schema would be created in that schema.
    const { rows: named } = await client.query<{ name: string }>('select current_database() as name');
    await client.query(
      `alter database ${pg.escapeIdentifier(named[0]?.name ?? '')} set search_path = public`,
    );
  } finally {
    await client.end();
  }
}

function clockSql(): string {
  // A sequence: every session sees its value immediately, whatever its snapshot. skip: how much was skipped from
  // which moment on, by the machine's clock, from which ids of version 7 are made.
  const tables = `
    create schema waybill_testing;
    grant usage on schema waybill_testing to public;
    create sequence waybill_testing.skipped_ms minvalue 0 start 0;
    select setval('waybill_testing.skipped_ms', 0);
    grant select, usage on sequence waybill_testing.skipped_ms to public;
    create table waybill_testing.skip (from_ms bigint primary key, skipped_ms bigint not null);
    grant select on waybill_testing.skip to public;`;
  const functions = Object.entries(TIMES).map(
    ([name, volatility]) => `
    alter function pg_catalog.${name}() rename to real_${name};
    create function pg_catalog.${name}() returns timestamptz language sql ${volatility} parallel restricted
    return pg_catalog.real_${name}()
         + pg_catalog.pg_sequence_last_value('waybill_testing.skipped_ms') * interval '1 millisecond';`,
  );
  return [tables, ...functions].join('\n');
}

/** Skips time on a database with such a clock, in which Waybill's schema was migrated. */
export class SkippableClock {
  constructor(private readonly database: PgDatabase) {}

  /**
   * Converts ids to the database's time: processes create them by their own clock, which skips nothing, and barriers
   * and step logs use the time in them.
   */
  async install(): Promise<void> {
    const schema = pg.escapeIdentifier(this.database.schema);
    await this.database.pool.query(`
      create or replace function ${schema}.uuid_ms(id uuid) returns bigint language sql immutable strict
      begin atomic
        select made.ms + coalesce((select s.skipped_ms from waybill_testing.skip s where s.from_ms <= made.ms
                                    order by s.from_ms desc limit 1), 0)
          from (select ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint) made (ms);
      end`);
  }

  /** The database's time, in milliseconds since the epoch. */
  async nowMs(): Promise<number> {
    const { rows } = await this.database.pool.query<{ ms: string }>(
      'select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as ms',
    );
    return Number(rows[0]?.ms);
  }

  /** Puts the clock forward to a time; a past time is ignored. */
  async moveTo(ms: number): Promise<void> {
    await this.database.pool.query(
      `with moved as (
         select pg_sequence_last_value('waybill_testing.skipped_ms')
                + greatest(0, $1::bigint - floor(extract(epoch from clock_timestamp()) * 1000)::bigint) as skipped_ms
       ), kept as (
         insert into waybill_testing.skip (from_ms, skipped_ms) select $2::bigint, m.skipped_ms from moved m
         on conflict (from_ms) do update set skipped_ms = excluded.skipped_ms
         returning skipped_ms
       )
       select setval('waybill_testing.skipped_ms', k.skipped_ms) from kept k`,
      [ms, Date.now()],
    );
  }
}
