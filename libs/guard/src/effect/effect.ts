import { createHash } from 'node:crypto';
import { ConfigurationError } from '@waybill/kernel';
import { keyName, plainJson } from '@waybill/kernel/internal';

/** What a call to anyone who does the effect is given. */
export interface EffectCall {
  /** To be sent along: under one key it does the effect once, however often it is called. */
  readonly idempotencyKey: string;
  /** Aborts when the call has taken too long. It must be passed on: a call that goes on behind it may come too late. */
  readonly signal: AbortSignal;
}

/** What anyone who does the effect knows of it. `not-done` promises that no call that is under way can still do it. */
export type EffectQueryResult<T> =
  | { readonly state: 'done'; readonly outcome: T }
  | { readonly state: 'not-done' }
  | { readonly state: 'unknown' };

/** An effect outside of any database. */
export interface ExternalEffect<T> {
  /** Names it, and is the idempotency key; 1 to 250 characters, of which the last must not be `:undo`. */
  readonly key: string;
  /**
   * What is asked for, as JSON: amount, currency, account. The same key with another request is refused, where both say what
   * they ask for. Only its hash is kept.
   */
  readonly request?: unknown;
  /** Does it. Throws EffectRefusedError when the answer is no, for good; after any other error it is asked about. */
  readonly attempt: (call: EffectCall) => Promise<T>;
  /** Asks whether it has happened. */
  readonly query: (call: EffectCall) => Promise<EffectQueryResult<T>>;
}

/** Taking an effect back. */
export interface EffectToUndo<T, U> {
  /** That of the effect. */
  readonly key: string;
  /** Asks about the effect, and about its undoing by the key of that. */
  readonly query: (call: EffectCall) => Promise<EffectQueryResult<T | U>>;
  /** Takes back what was done, under a key of its own; once. Throws EffectRefusedError when the answer is no, for now. */
  readonly undo: (call: EffectCall & { readonly outcome: T }) => Promise<U>;
  /**
   * The idempotency key of an undoing that was refused before. `same`: as the first, for services that decide each time.
   * `new`: followed by the number of the try (`<key>:undo:2`), for services that repeat their first answer to a key.
   * Default `same`.
   */
  readonly keyAfterRefusal?: 'same' | 'new';
}

/** What taking back has come to: `nothing` when the effect has not happened, and will not. */
export type UndoOutcome<U> =
  { readonly state: 'undone'; readonly outcome: U } | { readonly state: 'nothing' };

/** Longest key, in characters: with the end for its undoing it fits the 255 that services take. */
const KEY_MAX = 250;
const IDEMPOTENCY_KEY_MAX = 255;
const UNDO_END = ':undo';
/** What PostgreSQL cannot keep, or would keep as something else. */
const NO_TEXT = /[\0\p{Cs}]/u;

/** The name of an effect's undoing, which is an effect of its own. */
export function undoKey(key: string): string {
  return `${key}${UNDO_END}`;
}

/**
 * The idempotency key of an undoing.
 * @param refusals how often it was refused before
 * @throws ConfigurationError when it is too long for services
 */
export function undoCallKey(key: string, refusals: number, after: 'same' | 'new' = 'same'): string {
  if (after === 'same' || refusals === 0) return undoKey(key);
  const name = `${undoKey(key)}:${refusals + 1}`;
  if (name.length <= IDEMPOTENCY_KEY_MAX) return name;
  throw new ConfigurationError('The effect cannot be undone under a new key', [
    `the key of ${keyName(key)} leaves no room for it: it would have ${name.length} characters, services take ${IDEMPOTENCY_KEY_MAX}`,
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
    `it must be a text of 1 to ${KEY_MAX} characters that does not end in ${UNDO_END} and holds no null character and no ` +
      `half of a surrogate pair, got ${typeof key === 'string' ? JSON.stringify(key) : typeof key}`,
  ]);
}

/** @throws ConfigurationError */
export function assertAfterRefusal(after: unknown): void {
  if (after === undefined || after === 'same' || after === 'new') return;
  throw new ConfigurationError('The effect cannot be undone', ['keyAfterRefusal must be same or new']);
}

/**
 * What tells a request from another under the same key: a hash, in which the order of entries does not count; null for none.
 * @throws ConfigurationError when it is no JSON
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
  // An object would put names that are numbers first, and take __proto__ for its own.
  return ['{}', ...entries.map(([name, of]) => [name, of])];
}
