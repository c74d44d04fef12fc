import { checkServerIdentity, createSecureContext } from 'node:tls';
import type pg from 'pg';
import { ConfigurationError } from '../errors/usage-errors.js';
import { DatabaseUnavailableError } from '../errors/runtime-errors.js';
import { isPlainObject } from '../plain-json.js';
import { show, unknownName } from '../options.js';
import { askPassword, type Password } from '../password.js';
import { describeThrown } from '../thrown.js';
import { assertConnectionString } from './assert-connection-string.js';
import { describePlace, parseHosts } from './host-list.js';
import { candidatesOfUrl, type ServerChoices } from './server-candidate.js';
import { type TargetSessionAttrs, targetProblem } from './target-session.js';

/** TLS settings for a database server. Its certificate is verified unless that is switched off. */
export interface DatabaseTls {
  /** Trusted authorities, as PEM. Default: those of Node and of `NODE_EXTRA_CA_CERTS`. */
  readonly ca?: string | Buffer | (string | Buffer)[];
  /** The client's certificate and its key, as PEM, if the server asks for one. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** Default true. False accepts any certificate, and so allows man-in-the-middle attacks. */
  readonly rejectUnauthorized?: boolean;
  /** The name that the certificate must have. Default: `host`. */
  readonly servername?: string;
}

/** A database address in parts. */
export interface DatabaseServer {
  readonly connectionString?: undefined;
  /**
   * A host name, an IP address, or the folder of a Unix socket. Several are tried in order:
   * `db1.internal,db2.internal:5433`.
   */
  readonly host: string;
  /** Of each host without its own. Default 5432. */
  readonly port?: number;
  /** Which of the servers is wanted, as in libpq. Default `any`. */
  readonly targetSessionAttrs?: TargetSessionAttrs;
  readonly user: string;
  /** Default: `PGPASSWORD`. */
  readonly password?: Password;
  /** How long the function that is `password` may take, in milliseconds, 10 to 9,000. Default 5,000. */
  readonly passwordTimeoutMs?: number;
  readonly database: string;
  /** Default: set by `PGSSLMODE`, else no TLS. */
  readonly ssl?: boolean | DatabaseTls;
}

/** A database address as a URL. */
export type DatabaseUrl = {
  /** `postgresql://user:password@host:5432/database` */
  readonly connectionString: string;
} & { readonly [name in Exclude<keyof DatabaseServer, 'connectionString'>]?: undefined };

/** Where a database is and which user connects: a URL, or its parts. */
export type DatabaseAddress = DatabaseUrl | DatabaseServer;

const PARTS = [
  'host',
  'port',
  'user',
  'password',
  'passwordTimeoutMs',
  'database',
  'ssl',
  'targetSessionAttrs',
] as const;
/** The names of all address options. */
export const ADDRESS_OPTIONS: readonly string[] = ['connectionString', ...PARTS];
const TLS_OPTIONS = ['ca', 'cert', 'key', 'rejectUnauthorized', 'servername'];
const DEFAULT_PORT = 5_432;
const DEFAULT_PASSWORD_TIMEOUT_MS = 5_000;
/** Less than the time limit for a connection. */
const PASSWORD_TIMEOUT_MAX_MS = 9_000;

/** @throws ConfigurationError for an invalid address; it never contains a password */
export function assertAddress(given: DatabaseAddress): void {
  if (!isByParts(given)) return assertConnectionString(given.connectionString as string);
  const problems = addressProblems(given);
  if (problems.length > 0)
    throw new ConfigurationError('The address of the database is not usable', problems);
}

/** What is wrong with an address in parts, one sentence each. Other options are ignored. */
export function addressProblems(given: DatabaseAddress): string[] {
  const {
    connectionString,
    host,
    port,
    user,
    password,
    passwordTimeoutMs,
    database,
    ssl,
    targetSessionAttrs,
  } = given as unknown as Readonly<Record<string, unknown>>;
  const problems: string[] = [];
  if (connectionString !== undefined) {
    const parts = PARTS.filter((name) => given[name] !== undefined);
    problems.push(
      `give either connectionString or the parts of the address, not ${parts.join(', ')} as well`,
    );
  }
  for (const [name, value] of Object.entries({ host, user, database })) {
    if (!isText(value)) problems.push(`${name} must be a non-empty string, got ${show(value)}`);
  }
  if (port !== undefined && !isWhole(port, 1, 65_535))
    problems.push(`port must be a whole number from 1 to 65535, got ${show(port)}`);
  if (password !== undefined && typeof password !== 'function' && !isText(password))
    problems.push(
      `password must be a non-empty string, or a function that returns one, got ${typeof password}`,
    );
  if (passwordTimeoutMs !== undefined && !isWhole(passwordTimeoutMs, 10, PASSWORD_TIMEOUT_MAX_MS))
    problems.push(
      `passwordTimeoutMs must be a whole number from 10 to ${PASSWORD_TIMEOUT_MAX_MS}, got ${show(passwordTimeoutMs)}`,
    );
  if (ssl !== undefined) problems.push(...tlsProblems(ssl));
  if (isText(host) && host.includes(',')) parseHosts(host, '', problems);
  const target = targetProblem('targetSessionAttrs', targetSessionAttrs ?? 'any');
  if (target !== undefined) problems.push(target);
  return problems;
}

function tlsProblems(ssl: unknown): string[] {
  if (typeof ssl === 'boolean') return [];
  if (!isPlainObject(ssl))
    return [`ssl must be true, false or { ${TLS_OPTIONS.join(', ')} }, got ${typeof ssl}`];
  const problems: string[] = [];
  for (const name of Object.keys(ssl))
    if (!TLS_OPTIONS.includes(name)) problems.push(`ssl: ${unknownName(name, TLS_OPTIONS)}`);
  const { ca, cert, key, rejectUnauthorized, servername } = ssl as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries({ ca, cert, key })) {
    const pems: readonly unknown[] = name === 'ca' && Array.isArray(value) ? value : [value];
    if (value !== undefined && !pems.every((pem) => Buffer.isBuffer(pem) || isText(pem)))
      problems.push(`ssl.${name} must be PEM, as a string or a Buffer, got ${typeof value}`);
  }
  if ((cert === undefined) !== (key === undefined))
    problems.push('ssl.cert and ssl.key belong together: give both');
  if (rejectUnauthorized !== undefined && typeof rejectUnauthorized !== 'boolean')
    problems.push(`ssl.rejectUnauthorized must be true or false, got ${show(rejectUnauthorized)}`);
  if (servername !== undefined && !isText(servername))
    problems.push(`ssl.servername must be a non-empty string, got ${show(servername)}`);
  return problems.length > 0 ? problems : pemProblems(ssl as DatabaseTls);
}

function pemProblems({ ca, cert, key }: DatabaseTls): string[] {
  // Node silently accepts an authority that is not PEM, and then trusts none.
  const authorities = ca === undefined || Array.isArray(ca) ? (ca ?? []) : [ca];
  if (!authorities.every((pem) => /-----BEGIN [A-Z ]*CERTIFICATE-----/.test(pem.toString())))
    return ['ssl.ca is not a PEM certificate, which begins with -----BEGIN CERTIFICATE-----'];
  try {
    createSecureContext({ ca, cert, key });
    return [];
  } catch (error) {
    const { code } = describeThrown(error);
    return [`ssl.ca, ssl.cert or ssl.key cannot be read as PEM (${code ?? 'unknown format'})`];
  }
}

/** The address alone, without other options. */
export function addressOf(given: DatabaseAddress): DatabaseAddress {
  const named = Object.entries(given).filter(([name]) => ADDRESS_OPTIONS.includes(name));
  return Object.fromEntries(named) as unknown as DatabaseAddress;
}

/** The database name in the address; empty when the address leaves it to the server. */
export function databaseNameOf(address: DatabaseAddress): string {
  if (isByParts(address)) return address.database;
  return /^[a-z]+:\/\/[^/]*\/([^?]*)/.exec(address.connectionString)?.[1] ?? '';
}

/** The servers that an address leads to. @throws ConfigurationError */
export function serversOf(address: DatabaseAddress): ServerChoices {
  if (!isByParts(address)) return candidatesOfUrl(address.connectionString);
  const { host, port = DEFAULT_PORT, targetSessionAttrs: wanted = 'any' } = address;
  const places = host.includes(',') ? parseHosts(host, String(port), []) : [{ host, port }];
  const candidates = places.map((place) => ({
    name: describePlace(place),
    config: driverAddress({ ...address, ...place }),
  }));
  return { candidates, wanted };
}

/** The driver's options for an address with one host. */
function driverAddress(address: DatabaseServer): pg.ClientConfig {
  const { host, port = DEFAULT_PORT, user, password, database, ssl } = address;
  return {
    host,
    port,
    user,
    database,
    ...(password === undefined
      ? {}
      : { password: typeof password === 'function' ? asker(address, password) : password }),
    ...(ssl === undefined ? {} : { ssl: driverTls(ssl, host) }),
  };
}

function driverTls(ssl: boolean | DatabaseTls, host: string): NonNullable<pg.ClientConfig['ssl']> {
  if (typeof ssl === 'boolean') return ssl;
  const { servername } = ssl;
  // The driver replaces the servername with `host`, and Node would compare the certificate with that.
  return {
    rejectUnauthorized: true,
    ...ssl,
    checkServerIdentity: (_, certificate) => checkServerIdentity(servername ?? host, certificate),
  };
}

function asker(address: DatabaseServer, password: Exclude<Password, string>): () => Promise<string> {
  const { host, port = DEFAULT_PORT, user, passwordTimeoutMs = DEFAULT_PASSWORD_TIMEOUT_MS } = address;
  return () =>
    askPassword(password, passwordTimeoutMs).catch((error: unknown): never => {
      const why = describeThrown(error).message;
      throw new DatabaseUnavailableError(`Could not get the password of ${user} at ${host}:${port}: ${why}`, {
        remedy:
          'Check the function given as the option password, and the service that it calls; the next connection calls it again',
      });
    });
}

function isByParts(address: DatabaseAddress): address is DatabaseServer {
  return address.connectionString === undefined || PARTS.some((name) => address[name] !== undefined);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && !value.includes('\0');
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
}
