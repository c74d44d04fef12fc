import { createHash } from 'node:crypto';
import { IdempotencyError } from './idempotency-error.js';

/** The part of a request that is used, common to Express and Fastify. */
export interface IdempotentHttpRequest {
  readonly method: string;
  readonly url: string;
  readonly originalUrl?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: unknown;
  /** The raw body, if the application was created with `rawBody: true`. */
  readonly rawBody?: unknown;
  /** The user that a guard has authenticated. */
  readonly user?: unknown;
  /** The parameters of the route. */
  readonly params?: unknown;
  /** The route in Express. */
  readonly route?: { readonly path?: unknown };
  /** The route in Fastify. */
  readonly routeOptions?: { readonly url?: unknown };
}

/** Identifies the caller: each caller has separate keys. */
export type CallerOf = (request: IdempotentHttpRequest) => string;

/**
 * Where authentication stores the id of a user: Passport's and Nest's examples, and the subject of a token (RFC 7519).
 */
const USER_IDS = ['id', 'userId', 'sub'] as const;

/**
 * The id of the authenticated user, `request.user.id` (or `userId`, or `sub`).
 * @throws IdempotencyError if there is none: all callers without one would share a key
 */
export const authenticatedUser: CallerOf = ({ user }) => {
  if (typeof user === 'object' && user !== null)
    for (const name of USER_IDS) {
      const id = (user as Record<string, unknown>)[name];
      if (typeof id === 'number' || typeof id === 'bigint' || (typeof id === 'string' && id !== ''))
        return String(id);
    }
  throw new IdempotencyError('caller-unknown');
};

/** The identity of a request: its caller, its target and its content. */
export interface RequestIdentity {
  readonly scope: string;
  readonly fingerprint: string;
}

/**
 * The caller and the target, by the route and its parameters, and an exact fingerprint of the rest: two spellings of
 * one path are the same request; two requests that differ in anything that the handler sees are different.
 * @throws IdempotencyError if the caller is unknown
 */
export function identityOf(request: IdempotentHttpRequest, callerOf: CallerOf): RequestIdentity {
  const caller: unknown = callerOf(request);
  if (typeof caller !== 'string' || caller === '') throw new IdempotencyError('caller-unknown');
  const url = request.originalUrl ?? request.url;
  const at = url.indexOf('?');
  const query = at === -1 ? '' : url.slice(at + 1);
  const target = routeOf(request) ?? pathOf(at === -1 ? url : url.slice(0, at));
  return {
    scope: hash(JSON.stringify([caller, request.method, target])),
    fingerprint: hash(JSON.stringify([query, contentOf(request)])),
  };
}

/** The route as declared, and its parameters; undefined if the framework does not provide it. */
function routeOf({ route, routeOptions, params }: IdempotentHttpRequest): unknown {
  const pattern = route?.path ?? routeOptions?.url;
  if (typeof pattern !== 'string') return undefined;
  const values = Object.entries((params ?? {}) as Record<string, unknown>);
  return [trimmed(pattern), values.toSorted(([one], [other]) => (one < other ? -1 : 1))];
}

/** A path without the differences that most routers ignore. */
function pathOf(path: string): string {
  try {
    return trimmed(decodeURI(path));
  } catch {
    return trimmed(path);
  }
}

function trimmed(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '')
    .join('/')}`;
}

/** The body byte for byte if the application keeps it, otherwise as parsed. */
function contentOf({ rawBody, body }: IdempotentHttpRequest): unknown {
  if (rawBody instanceof Uint8Array) return ['raw', Buffer.from(rawBody).toString('base64')];
  return ['parsed', JSON.stringify(body) ?? ''];
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
