import pg from 'pg';
import { ConfigurationError } from '../errors/usage-errors.js';
import { candidatesOfUrl } from './server-candidate.js';

/** A PostgreSQL URL, a folder of Unix sockets followed by a database, or pg's own form for such a folder. */
const KNOWN = /^(postgres(ql)?:\/\/|socket:|\/(?!\/))/i;

/** Neither a host nor a folder of sockets: the driver would use the local server. */
const NO_HOST = /^postgres(ql)?:\/\/([^/?#]*@)?(:\d*)?([/?#](?!.*[?&]host=.)|$)/i;

/**
 * Refuses anything but a PostgreSQL connection string. The driver would take another scheme, or a text without one, for
 * a database name and connect to its default server. No message contains the string: it may contain a password.
 * @throws ConfigurationError
 */
export function assertConnectionString(connectionString: string): void {
  const subject = 'The connection string is not usable';
  if (typeof connectionString !== 'string' || !KNOWN.test(connectionString)) {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(String(connectionString))?.[1];
    throw new ConfigurationError(subject, [
      `it must begin with postgresql://${scheme === undefined ? '' : `, not with ${scheme}://: Waybill requires PostgreSQL`}`,
    ]);
  }
  if (NO_HOST.test(connectionString) && (process.env['PGHOST'] ?? '') === '') {
    throw new ConfigurationError(subject, [
      'it names no host, and would connect to any server that runs on this machine: write postgresql://host:5432/database, ' +
        'with localhost where that is meant, or set PGHOST',
    ]);
  }
  const { candidates } = candidatesOfUrl(connectionString);
  try {
    for (const { config } of candidates) void new pg.Client(config);
  } catch (error) {
    throw new ConfigurationError(subject, [
      'it is not a URL: write postgresql://user:password@host:5432/database, with special characters of user and password ' +
        `percent-encoded (@ is %40, # is %23, / is %2F)${readsFile(error)}`,
    ]);
  }
}

/** pg reads the certificates while it parses the string. */
function readsFile(error: unknown): string {
  const { code, path } = error as { readonly code?: unknown; readonly path?: unknown };
  return typeof path === 'string' ? `; ${path}, which it names, cannot be read (${String(code)})` : '';
}
