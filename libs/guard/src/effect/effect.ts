import { createHash } from 'node:crypto';
import { ConfigurationError } from '@waybill/kernel';
import { keyName, plainJson } from '@waybill/kernel/internal';

/** The argument of a call to the service that does the effect. */
export interface EffectCall {
  /** Send it along: the service does the effect once per key, however often it is called. */
  readonly idempotencyKey: string;
  /** Aborts when the call has taken too long. Pass it on: a call that continues after it may arrive too late. */
  readonly signal: AbortSignal;
}

/** What the service that does the effect knows about it. `not-done` promises that no call in flight can still do it. */
export type EffectQueryResult<T> =
  | { readonly state: 'done'; readonly outcome: T }
  | { readonly state: 'not-done' }
  | { readonly state: 'unknown' };

/** An effect outside any database. */
export interface ExternalEffect<T> {
  /** Its name and idempotency key; 1 to 250 characters, not ending in `:undo`. */
  readonly key: string;
  /**
   * The request, as JSON: amount, currency, account. The same key with a different request is refused, if both state
   * their request. Only its hash is stored.
   */
  readonly request?: unknown;
  /** Does it. Throws EffectRefusedError if it is refused for good; after any other error, `query` is called. */
  readonly attempt: (call: EffectCall) => Promise<T>;
  /** Queries whether it has happened. */
  readonly query: (call: EffectCall) => Promise<EffectQueryResult<T>>;
}

/** Undoing an effect. */
export interface EffectToUndo<T, U> {
  /** The effect's key. */
  readonly key: string;
  /** Queries the effect, and its undoing by that key. */
  readonly query: (call: EffectCall) => Promise<EffectQueryResult<T | U>>;
  /** Undoes the effect once, under a separate key. Throws EffectRefusedError if that is refused for now. */
  readonly undo: (call: EffectCall & { readonly outcome: T }) => Promise<U>;
  /**
   * The idempotency key for undoing again after a refusal. `same`: the first key, for services that decide each time.
   * `new`: with the number of the attempt (`<key>:undo:2`), for services that repeat their first response to a key.
   * Default `same`.
   */
  readonly keyAfterRefusal?: 'same' | 'new';
}

/** The result of undoing: `nothing` if the effect has not happened, and will not. */
export type UndoOutcome<U> =
  { readonly state: 'undone'; readonly outcome: U } | { readonly state: 'nothing' };

/** Longest key, in characters: with the suffix for undoing it fits the 255 that services accept. */
const KEY_MAX = 250;
const IDEMPOTENCY_KEY_MAX = 255;
const UNDO_END = ':undo';
/** Texts that PostgreSQL cannot store, or would store differently. */
const NO_TEXT = /[\0\p{Cs}]/u;

/** The name of an effect's undoing, which is a separate effect. */
export function undoKey(key: string): string {
  return `${key}${UNDO_END}`;
}

/**
 * The idempotency key of an undoing.
 * @param refusals how often it was refused before
 * @throws ConfigurationError if it is too long for services
 */
export function undoCallKey(key: string, refusals: number, after: 'same' | 'new' = 'same'): string {
  if (after === 'same' || refusals === 0) return undoKey(key);
  const name = `${undoKey(key)}:${refusals + 1}`;
  if (name.length <= IDEMPOTENCY_KEY_MAX) return name;
  throw new ConfigurationError('The effect cannot be undone under a new key', [
    `the key of ${keyName(key)} leaves no room for it: it would have ${name.length} characters; services accept ${IDEMPOTENCY_KEY_MAX}`,
  ]);
}

/** @throws ConfigurationError */
export function assertKey(key: string): void {
  const usable =
    typeof key === 'string' &&
    key.length >= 1 &&
    key.length <= KEY_MAX &&
    !key.endsWith(UNDO_END) &&
    !NO_TEXT.test(key);
  if (usable) return;
  throw new ConfigurationError('The key of an external effect is not usable', [
    `it must be a string of 1 to ${KEY_MAX} characters that does not end in ${UNDO_END} and contains no null character and no ` +
      `half of a surrogate pair, got ${typeof key === 'string' ? JSON.stringify(key) : typeof key}`,
  ]);
}

/** @throws ConfigurationError */
export function assertAfterRefusal(after: unknown): void {
  if (after === undefined || after === 'same' || after === 'new') return;
  throw new ConfigurationError('The effect cannot be undone', ['keyAfterRefusal must be same or new']);
}

/**
 * Distinguishes requests under the same key: a hash that ignores the order of entries; null for none.
 * @throws ConfigurationError if it is not JSON
 */
export function fingerprintOf(key: string, request: unknown): string | null {
  if (request === undefined) return null;
  let json: string;
  try {
    json = JSON.stringify(plainJson(request, 'request', 'ourselves'));
  } catch (error) {
    throw new ConfigurationError('The request of an external effect is not usable', [
      (error as Error).message,
    ]);
  }
  const canonical = JSON.stringify(JSON.parse(json), (_name, value: unknown) => sorted(value));
  return createHash('sha256').update(JSON.stringify(key)).update(canonical).digest('hex');
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return ['[]', ...(value as unknown[])];
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  // An object would put numeric names first, and treat __proto__ specially.
  return ['{}', ...entries.map(([name, of]) => [name, of])];
}
