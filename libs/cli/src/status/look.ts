import type { PgDatabase, SqlSession } from '@waybill/kernel';

/** A page is read in time even if somebody holds locks, and reading it changes nothing. */
const LIMITS =
  "set transaction read only; set local lock_timeout = '500ms'; set local statement_timeout = '5s'";

/** Reads from a database in a transaction of its own that waits for no lock for long. */
export function look<T>(database: PgDatabase, work: (session: SqlSession) => Promise<T>): Promise<T> {
  return database.transaction(async (connection) => {
    await connection.execute(LIMITS);
    return work(connection);
  });
}
