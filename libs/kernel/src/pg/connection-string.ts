import pg from 'pg';
import { ConfigurationError } from '../errors/usage-errors.js';

/** A URL of PostgreSQL, a folder of Unix sockets with a database behind it, or pg's own name for such a folder. */
const KNOWN = /^(postgres(ql)?:\/\/|socket:|\/(?!\/))/i;

/** Neither a host nor a folder of sockets: the driver would take the local server. */
const NO_HOST = /^postgres(ql)?:\/\/([^/?#]*@)?(:\d*)?([/?#](?!.*[?&]host=.)|$)/i;

/**
 * Refuses what is no connection string of PostgreSQL. The driver would take another scheme, or a text without one, for the
 * name of a database and connect to wherever its defaults lead. Neither message holds the string: it may have a password.
 * @throws ConfigurationError
 */
export function assertConnectionString(connectionString: string): void {
  const subject = 'The connection string is not usable';
  if (typeof connectionString !== 'string' || !KNOWN.test(connectionString)) {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(String(connectionString))?.[1];
    throw new ConfigurationError(subject, [
      `it must begin with postgresql://${scheme === undefined ? '' : `, and not with ${scheme}://: Waybill works on PostgreSQL`}`,
    ]);
  }
  if (NO_HOST.test(connectionString) && (process.env['PGHOST'] ?? '') === '') {
    throw new ConfigurationError(subject, [
      'it names no host, and would lead to whatever server runs on this machine: write postgresql://host:5432/database, ' +
        'with localhost where that is meant, or set PGHOST',
    ]);
  }
  try {
    void new pg.Client({ connectionString });
  } catch (error) {
    throw new ConfigurationError(subject, [
      'it is no URL: write postgresql://user:password@host:5432/database, with special characters of user and password ' +
        `percent-encoded (@ is %40, # is %23, / is %2F)${readsFile(error)}`,
    ]);
  }
}

/** Certificates are read when the string is. */
function readsFile(error: unknown): string {
  const { code, path } = error as { readonly code?: unknown; readonly path?: unknown };
  return typeof path === 'string' ? `; ${path}, which it names, cannot be read (${String(code)})` : '';
}
