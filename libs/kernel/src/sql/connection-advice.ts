/** Connection failures that waiting does not fix, and what to do about them. */
interface KnownRefusal {
  readonly matches: (refusal: Refusal) => boolean;
  readonly advice: string;
}

interface Refusal {
  /** The code of SQLSTATE, Node or OpenSSL; empty where the driver gives none. */
  readonly code: string;
  readonly message: string;
}

const CODES_OF_TRUST = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

const REFUSALS: readonly KnownRefusal[] = [
  {
    matches: ({ code }) => code === '28P01',
    advice:
      'Correct user and password in the connection string; special characters in it are percent-encoded (@ is %40)',
  },
  {
    matches: ({ message }) => /password must be a (non-empty )?string/.test(message),
    advice:
      'The server asks for a password, and the connection string has none: write it as postgresql://user:password@host/database, give the option password, or set PGPASSWORD',
  },
  {
    matches: ({ code, message }) =>
      code === '28000' && /no pg_hba\.conf entry.*(no encryption|SSL off)/.test(message),
    advice:
      'The server accepts this user over TLS only: add sslmode=verify-full to the connection string, give the option ssl, or allow the connection in pg_hba.conf',
  },
  {
    matches: ({ code, message }) =>
      code === '28000' && /no pg_hba\.conf entry|rejects connection/.test(message),
    advice: "Allow the host, user and database in the server's pg_hba.conf, and reload it",
  },
  {
    matches: ({ code, message }) => code === '28000' && /role .* does not exist/.test(message),
    advice: 'Correct the user in the connection string, or create the role',
  },
  {
    matches: ({ code }) => code === '28000',
    advice:
      'The server rejects this user with the authentication method in its pg_hba.conf: correct the user or the method',
  },
  {
    matches: ({ code }) => code === '3D000',
    advice:
      'Correct the database name in the connection string (it defaults to the user name), or create the database',
  },
  {
    matches: ({ code, message }) => code === '42501' && /permission denied for database/.test(message),
    advice: 'Grant the login CONNECT on the database',
  },
  {
    matches: ({ code, message }) =>
      ['ENOENT', 'EACCES', 'ENOTDIR', 'ENOTSOCK'].includes(code) && /\.s\.PGSQL|connect/.test(message),
    advice:
      'The host names a folder of Unix sockets: check that the server listens there, on this port, and that this process may access it',
  },
  {
    matches: ({ code }) => code === 'ENOTFOUND' || code === 'EAI_AGAIN',
    advice: 'Correct the host in the connection string; the name is unknown, or no name server responds',
  },
  {
    matches: ({ message }) => /server does not support SSL/.test(message),
    advice:
      'The connection string asks for TLS, but the server has it switched off: switch it on there (ssl = on), or set sslmode=disable',
  },
  {
    matches: ({ code }) => CODES_OF_TRUST.has(code),
    advice:
      "The server's certificate is not signed by an authority that this process trusts: add sslrootcert=/path/to/ca.pem to the connection string, give it as ssl.ca, or set NODE_EXTRA_CA_CERTS",
  },
  {
    matches: ({ code }) => code === 'ERR_TLS_CERT_ALTNAME_INVALID',
    advice: "The server's certificate is for a different name: connect to a host that it names",
  },
  {
    matches: ({ code }) => code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID',
    advice: "The server's certificate is not valid at this time: renew it, or correct the clock",
  },
  {
    matches: ({ code }) => /^(ERR_SSL_|ERR_TLS_|EPROTO$|CERT_|HOSTNAME_)/.test(code),
    advice:
      'The TLS handshake failed: compare the versions and certificates of both sides, and sslmode, sslcert and sslkey of the connection string',
  },
  {
    matches: ({ code }) => code === '53300',
    advice:
      'The server has no free connections: raise max_connections, or lower connectionsMax and maxConcurrency of the services',
  },
];

/** What to do about a failed connection attempt; undefined if waiting is all there is to do. */
export function connectionAdvice(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const refusal = {
    code: typeof code === 'string' ? code : '',
    message: typeof message === 'string' ? message : '',
  };
  return REFUSALS.find(({ matches }) => matches(refusal))?.advice;
}
