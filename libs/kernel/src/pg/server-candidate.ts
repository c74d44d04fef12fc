import type pg from 'pg';
import { ConfigurationError } from '../errors/usage-errors.js';
import { show } from '../options.js';
import { describePlace, parseHosts, type ServerPlace } from './host-list.js';
import { type TargetSessionAttrs, targetProblem } from './target-session.js';

/** A server to try. */
export interface ServerCandidate {
  /** For messages: host and port. */
  readonly name: string;
  /** The driver's options that lead to it. */
  readonly config: pg.ClientConfig;
  /** Without TLS, for `sslmode=prefer`: tried only when the server has just refused TLS. */
  readonly isPlain?: boolean;
}

/** The servers that an address stands for, in order, and which of them is wanted. */
export interface ServerChoices {
  readonly candidates: readonly ServerCandidate[];
  readonly wanted: TargetSessionAttrs;
}

const URL_SHAPE = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#]*)([^?#]*)(?:\?([^#]*))?/i;
const TLS_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];
/** The driver takes these for verify-full, unless it is told to follow libpq. */
const LIBPQ_MODES = new Set(['prefer', 'require', 'verify-ca']);
const TARGET = 'target_session_attrs';

/**
 * Reads a URL as libpq does where the driver does not: several hosts, `target_session_attrs`, and the meaning of
 * `sslmode`. Other texts are the driver's business.
 * @throws ConfigurationError
 */
export function candidatesOfUrl(connectionString: string): ServerChoices {
  const [, login, authority = '', path, query = ''] = URL_SHAPE.exec(connectionString) ?? [];
  if (login === undefined) {
    const config = { connectionString };
    return { candidates: [{ name: 'the socket', config }], wanted: 'any' };
  }
  const params = new URLSearchParams(query);
  const problems: string[] = [];
  const wanted = params.get(TARGET) ?? 'any';
  const target = targetProblem(TARGET, wanted);
  if (target !== undefined) problems.push(target);
  problems.push(...tlsProblems(params));
  // The driver takes a missing host from PGHOST, which may be a list as well.
  const named = /^(:|$)/.test(authority) ? `${process.env['PGHOST'] ?? ''}${authority}` : authority;
  const hosts = params.get('host') || named;
  const isList = hosts.includes(',');
  const places = parseHosts(hosts, params.get('port') ?? '', isList ? problems : []);
  // What is wrong with a single host or port, the driver says.
  if (places.length === 0) places.push({ host: hosts, port: 0 });
  if (problems.length > 0) throw new ConfigurationError('The connection string is not usable', problems);
  params.delete(TARGET);
  const candidates = places.flatMap((place) =>
    tlsModes(place, params.get('sslmode')).map((mode, at) => {
      const own = new URLSearchParams(params);
      if (isList) {
        own.set('host', place.host);
        own.set('port', String(place.port));
      }
      if (mode !== null) own.set('sslmode', mode);
      if (LIBPQ_MODES.has(mode ?? '') && !own.has('uselibpqcompat')) own.set('uselibpqcompat', 'true');
      // The driver cannot parse a list, and prefers the host of the query.
      const base = `${login}${isList ? 'localhost' : authority}${path}`;
      const isUnchanged = own.toString() === new URLSearchParams(query).toString();
      const url = isUnchanged ? connectionString : `${base}${own.size > 0 ? `?${own.toString()}` : ''}`;
      const candidate = { name: describePlace(place), config: { connectionString: url } };
      return at === 0 ? candidate : { ...candidate, isPlain: true };
    }),
  );
  return { candidates, wanted: wanted as TargetSessionAttrs };
}

/** A server refuses TLS on a Unix socket, which needs none. */
function tlsModes({ host }: ServerPlace, mode: string | null): readonly (string | null)[] {
  if (mode === null) return [null];
  if (host.startsWith('/')) return ['disable'];
  return mode === 'prefer' ? ['prefer', 'disable'] : [mode];
}

function tlsProblems(params: URLSearchParams): string[] {
  const mode = params.get('sslmode');
  if (mode === null) return [];
  if (!TLS_MODES.includes(mode)) return [`sslmode must be one of ${TLS_MODES.join(', ')}, got ${show(mode)}`];
  if (mode !== 'verify-ca' || (params.get('sslrootcert') ?? '') !== '') return [];
  return [
    'sslmode=verify-ca needs sslrootcert, the file with your own authority: any name that a public one has signed would do. ' +
      'Add it, or use sslmode=verify-full',
  ];
}
