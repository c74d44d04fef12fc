import { ConfigurationError, type PgDatabase } from '@waybill/kernel';
import type { AppendStatement, LogEngine } from './log-engine.js';

/**
 * How transactions of `database` append to the log.
 * @param what what needs it, for the error: `The relay`
 * @throws ConfigurationError unless the log is in that database
 */
export function appendWithin(
  log: Pick<LogEngine, 'appendWithin'>,
  database: PgDatabase,
  what: string,
): AppendStatement {
  const append = log.appendWithin(database);
  if (append !== undefined) return append;
  throw new ConfigurationError(`${what} cannot append`, [
    'the log must be in the database of its transactions: give the engine of the log this same PgDatabase',
  ]);
}
