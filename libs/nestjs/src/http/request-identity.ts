import { createHash } from 'node:crypto';
import { IdempotencyError } from './idempotency-error.js';

/** What is looked at of a request; Express and Fastify have it both. */
export interface IdempotentHttpRequest {
  readonly method: string;
  readonly url: string;
  readonly originalUrl?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: unknown;
  /** As it came, where the application was created with `rawBody: true`. */
  readonly rawBody?: unknown;
  /** Who was authenticated, by a guard. */
  readonly user?: unknown;
  /** The parameters of the route. */
  readonly params?: unknown;
  /** The route in Express. */
  readonly route?: { readonly path?: unknown };
  /** The route in Fastify. */
  readonly routeOptions?: { readonly url?: unknown };
}

/** Names who asks: keys of one caller mean nothing to another. */
export type CallerOf = (request: IdempotentHttpRequest) => string;

/** Where authentication leaves the id of a user: Passport's and Nest's examples, and the subject of a token (RFC 7519). */
const USER_IDS = ['id', 'userId', 'sub'] as const;

/**
 * The id of the authenticated user, `request.user.id` (or `userId`, or `sub`).
 * @throws IdempotencyError where there is none: a key would be shared by all who have none either
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

/** What a request is known by: whose and which it is, and what it says. */
export interface RequestIdentity {
  readonly scope: string;
  readonly fingerprint: string;
}

/**
 * Whose request it is and where it goes, by its route and the route's parameters, and an exact fingerprint of the rest:
 * two ways to write one path are one request, and two that differ in anything that the handler sees are not.
 * @throws IdempotencyError where nothing says who asks
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

/** The route as it was declared, and its parameters; undefined where the framework does not tell. */
function routeOf({ route, routeOptions, params }: IdempotentHttpRequest): unknown {
  const pattern = route?.path ?? routeOptions?.url;
  if (typeof pattern !== 'string') return undefined;
  const values = Object.entries((params ?? {}) as Record<string, unknown>);
  return [trimmed(pattern), values.toSorted(([one], [other]) => (one < other ? -1 : 1))];
}

/** A path without what most routers look past. */
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

/** The body byte for byte where the application keeps it, else as it was parsed. */
function contentOf({ rawBody, body }: IdempotentHttpRequest): unknown {
  if (rawBody instanceof Uint8Array) return ['raw', Buffer.from(rawBody).toString('base64')];
  return ['parsed', JSON.stringify(body) ?? ''];
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
