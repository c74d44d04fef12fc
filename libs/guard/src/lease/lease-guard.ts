import { createHash } from 'node:crypto';
import {
  type Clock,
  describeError,
  EffectInProgressError,
  FencedError,
  type Given,
  IdMismatchError,
  isWaybillError,
  type Logger,
  oneOf,
  resolveOptions,
  type SqlSession,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { guardLogger } from '@waybill/kernel/internal';
import type { Sealer } from '@waybill/log';
import { HeldLease } from './held-lease.js';
import type { LeaseStore } from './lease-store.js';
import { decodeResult, encodeResult, StoredResults } from '../message-id/stored-result.js';

const DAY_MS = 86_400_000;

const SPECS = {
  /** How long a claim lasts unless it is extended, which happens after a third of that; in milliseconds. */
  leaseMs: wholeNumber({ default: 30_000, min: 100, max: 3_600_000 }),
  /** How long completed work and its result are remembered, in milliseconds. */
  windowMs: wholeNumber({ default: DAY_MS, min: 1_000, max: 56 * DAY_MS }),
  /** Whether a duplicate waits for the running work, or is refused. */
  onConflict: oneOf(['wait', 'refuse'], 'wait'),
  /** How long a duplicate waits, in milliseconds. */
  waitMs: wholeNumber({ default: 30_000, min: 0, max: 3_600_000 }),
  /** Maximum size of a stored result, in bytes of JSON. */
  maxResultBytes: wholeNumber({ default: 65_536, min: 0, max: 16_777_216 }),
};

/** Options of a {@link LeaseGuard}. */
export type LeaseGuardOptions = Given<typeof SPECS>;

/** Dependencies of a {@link LeaseGuard}, apart from its store. */
export interface LeaseGuardDependencies {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Encrypts results, and names the database of the subjects' keys. Default: nothing is encrypted. */
  readonly sealing?: { readonly sealer: Sealer; readonly session: SqlSession };
}

/** Work that happens once: `id` within `scope`. */
export interface OnceName {
  /** The actor and the operation: a consumer and its handler, a caller and a route. */
  readonly scope: string;
  readonly id: string;
  /**
   * Of its content, e.g. a hash; the same id with a different one is refused once it is done. Default: not compared.
   */
  readonly fingerprint?: string | undefined;
  /** The subject whose data the result contains: it is encrypted with that subject's key. Used only with a cipher. */
  readonly subject?: string | null | undefined;
}

/** The argument of work under a lease. */
export interface Lease {
  /** Aborts when the lease is lost: other processes may begin the same work from now on. */
  readonly signal: AbortSignal;
  /** An integer as text that grows with each claim of a name; a store that checks it can refuse an older holder. */
  readonly fence: string;
}

/** The result of work. */
export interface OnceResult<T> {
  readonly result: T;
  /** Whether this call did not run the work, and `result` is the stored one. */
  readonly duplicate: boolean;
}

/** Growing intervals between two checks of another process's claim, in milliseconds. */
const POLL_MIN_MS = 10;
const POLL_MAX_MS = 250;
/** Interval at which storing a result is retried while the lease lasts, in milliseconds. */
const RECORD_RETRY_MS = 100;
/** Longer keys would not fit an index. */
const KEY_CHARS_MAX = 400;

/**
 * Runs work once under a name, for effects outside transactions: a claim with a lease, extended while the work runs,
 * and a mark with the result when it is done. Concurrent duplicates wait for the first or are refused; later ones get
 * the stored result.
 *
 * It cannot make the effect and the mark atomic: a process that crashes between them leaves a lease that ends,
 * and the work runs again. If that must not happen, put the effect into a transaction, or use ExternalEffects.
 */
export class LeaseGuard {
  readonly #options;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #results: StoredResults;
  /** The database of subjects' keys. */
  readonly #session: SqlSession;

  /** @throws ConfigurationError */
  constructor(
    private readonly store: LeaseStore,
    options: LeaseGuardOptions = {},
    dependencies: LeaseGuardDependencies = {},
  ) {
    this.#options = resolveOptions('lease guard', SPECS, options);
    this.#results = new StoredResults('lease-result', dependencies.sealing?.sealer);
    this.#session = dependencies.sealing?.session ?? nowhere;
    this.#clock = dependencies.clock ?? systemClock;
    this.#logger = guardLogger(dependencies.logger);
  }

  /**
   * Runs `work` unless it has been done under this name within the window. When it throws, nothing is stored and the
   * name is free immediately.
   * @returns the result in its JSON form, `undefined` as null
   * @throws the error of `work`
   * @throws EffectInProgressError if another process is still working on it after `waitMs`, or immediately with
   *   `onConflict: 'refuse'`
   * @throws IdMismatchError if it was done with a different fingerprint
   * @throws FencedError if the lease was lost and others have begun since: the work has ended, its result is not stored
   * @throws ResultTooLargeError, ResultNotSerializableError: the work has ended and does not run again; duplicates get
   *   this too
   * @throws LeaseForgedError if the entry under the name was not written by this service, and no other store decides
   * @throws LeaseStoreUnavailableError, DatabaseUnavailableError
   */
  async once<T>(name: OnceName, work: (lease: Lease) => Promise<T>): Promise<OnceResult<T>> {
    const key = keyOf(name);
    const what = `${name.scope} ${name.id}`;
    const { leaseMs } = this.#options;
    const until = this.#clock.monotonic() + (this.#options.onConflict === 'wait' ? this.#options.waitMs : 0);
    for (let wait = POLL_MIN_MS; ; wait = Math.min(wait * 2, POLL_MAX_MS)) {
      const claimedAt = this.#clock.monotonic();
      const fingerprint = name.fingerprint ?? null;
      const claim = await this.store.claim(key, fingerprint, leaseMs);
      if (claim.state === 'claimed') {
        const held = new HeldLease(
          this.store,
          key,
          fingerprint,
          claim.fence,
          leaseMs,
          claimedAt,
          this.#clock,
        );
        return { result: await this.#run(held, key, name, work), duplicate: false };
      }
      if (claim.state === 'done') {
        const { fingerprint: before } = claim;
        if (fingerprint !== null && before !== null && before !== fingerprint)
          throw new IdMismatchError(what);
        const kept = await this.#results.open(this.#session, claim.result, [key]);
        return { result: decodeResult<T>(kept, what, this.#options.maxResultBytes), duplicate: true };
      }
      const left = until - this.#clock.monotonic();
      if (left <= 0) throw new EffectInProgressError(what, claim.retryAfterMs);
      await this.#clock.sleep(Math.min(wait, left, Math.max(1, claim.retryAfterMs)));
    }
  }

  async #run<T>(
    held: HeldLease,
    key: string,
    { scope, id, subject }: OnceName,
    work: (lease: Lease) => Promise<T>,
  ): Promise<T> {
    const what = `${scope} ${id}`;
    const subjectKey = this.#results.keyOf(subject);
    let result: T;
    try {
      if (subjectKey !== undefined)
        await this.#session.run(subjectKey.keep.statement, ...subjectKey.keep.params);
      result = await work({ signal: held.signal, fence: held.fence });
    } catch (error) {
      await held.release().catch((failure: unknown) => {
        this.#logger.warn(
          `the claim of ${what} was not released and ends by itself: ${describeError(failure)}`,
        );
      });
      throw error;
    }
    const stored = encodeResult(result, this.#options.maxResultBytes);
    if (!(await this.#record(held, this.#results.seal(stored, [key], subjectKey)))) {
      throw new FencedError(
        `The lease on ${what} was lost while its work was running (fence ${held.fence})`,
        {
          remedy: 'Its effect may have happened in addition to that of the next holder, whose result counts.',
        },
      );
    }
    return decodeResult<T>(stored, what, this.#options.maxResultBytes);
  }

  /** The effect has happened, so an unreachable store is retried while the lease keeps others from beginning. */
  async #record(held: HeldLease, stored: string | null): Promise<boolean> {
    try {
      for (;;) {
        try {
          return await held.finish(stored, this.#options.windowMs);
        } catch (error) {
          if (!isWaybillError(error) || !error.retryable || held.remainingMs <= RECORD_RETRY_MS) throw error;
          await this.#clock.sleep(RECORD_RETRY_MS);
        }
      }
    } finally {
      held.stop();
    }
  }
}

/** The session of a guard without a cipher: it has nothing to query. */
const nowhere: SqlSession = {
  schema: '',
  run: () => Promise.reject(new RangeError('no cipher is configured for this guard')),
};

/** One unique text for both parts; a long one is hashed. */
function keyOf({ scope, id }: OnceName): string {
  const key = `${scope.length}:${scope}:${id}`;
  return key.length <= KEY_CHARS_MAX ? key : `sha256:${createHash('sha256').update(key).digest('hex')}`;
}
