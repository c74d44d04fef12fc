import {
  type Clock,
  type Given,
  invariant,
  LeaseForgedError,
  LeaseStoreUnavailableError,
  type Logger,
  resolveOptions,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { guardLogger, text } from '@waybill/kernel/internal';
import type { LeaseSeal } from './lease-seal.js';
import type { LeaseClaim, LeaseStore } from './lease-store.js';
import { CLAIM, FINISH, type LeaseScript, RELEASE, RENEW } from './redis-lease-scripts.js';

/** The part of a Redis client that leases need; ioredis clients have it, including clusters. */
export interface RedisLeaseClient {
  evalsha(sha: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
  eval(script: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
}

const SPECS = {
  /** The prefix of every key. */
  prefix: text({
    default: 'waybill:guard',
    pattern: /^[^{}]{1,100}$/,
    meaning: '1 to 100 characters without { and }',
  }),
  /** Time after which Redis counts as unreachable if it has not responded, in milliseconds. */
  commandTimeoutMs: wholeNumber({ default: 1_000, min: 10, max: 60_000 }),
};

/** Options of a {@link RedisLeaseStore}. */
export type RedisLeaseStoreOptions = Given<typeof SPECS>;

/** Dependencies of a {@link RedisLeaseStore}. */
export interface RedisLeaseStoreDependencies {
  /**
   * Seals the marks, and refuses those of others. Without it, any writer to this Redis decides what has been done and
   * with which result.
   */
  readonly seal?: LeaseSeal | undefined;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** How long the last fence of a name is kept: a number of leases, and a minimum in milliseconds. */
const FENCE_LEASES = 10;
const FENCE_MIN_MS = 3_600_000;

/** Redis errors that mean that the key of a lease, or of its fence, holds something else. */
const NO_LEASE = /\bWRONGTYPE\b|value is not an integer|increment or decrement would overflow/;

/** Redis errors that mean that it cannot serve now. */
const UNAVAILABLE =
  /^(LOADING|CLUSTERDOWN|MASTERDOWN|READONLY|TRYAGAIN|OOM|NOREPLICAS|MISCONF|BUSY|NOAUTH|NOPERM|WRONGPASS)\b/;

/**
 * Leases in Redis: fast, and as durable as Redis. A flush, an eviction, a crash without an append-only file synced at
 * every command, or a failover to a lagging replica loses claims and marks: the work of such a name can then run
 * concurrently with its holder, or again within the window. If that must not happen, use PostgreSQL, alone or after
 * Redis ({@link fallbackLeaseStore}). The instance must not evict keys (`maxmemory-policy noeviction`).
 */
export class RedisLeaseStore implements LeaseStore {
  readonly #options;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #forged = 0;

  /**
   * @param client connected; one that does not queue commands while disconnected (`enableOfflineQueue: false`) fails
   *   faster
   * @throws ConfigurationError
   */
  constructor(
    private readonly client: RedisLeaseClient,
    options: RedisLeaseStoreOptions = {},
    private readonly dependencies: RedisLeaseStoreDependencies = {},
  ) {
    this.#options = resolveOptions('leases in Redis', SPECS, options);
    this.#clock = dependencies.clock ?? systemClock;
    this.#logger = guardLogger(dependencies.logger);
  }

  /** The number of entries found that this service has not written. */
  get forged(): number {
    return this.#forged;
  }

  async claim(name: string, fingerprint: string | null, leaseMs: number): Promise<LeaseClaim> {
    await this.dependencies.seal?.prepare();
    const answer = await this.#run(
      CLAIM,
      'Claiming',
      name,
      `${leaseMs}`,
      fenceMs(leaseMs),
      fingerprint ?? '',
    );
    invariant(Array.isArray(answer), `the claim of ${name} did not return a list`);
    const [state, first, second, ...sealed] = answer as [string, ...(string | number | null)[]];
    if (state === 'claimed') return { state, fence: String(first) };
    if (state === 'done') {
      const mark = { result: textOr(first), fingerprint: textOr(second) };
      await this.#assertGenuine(name, mark, sealed.map(textOr));
      return { state, ...mark };
    }
    return { state: 'in-progress', retryAfterMs: Math.max(0, Number(first)) };
  }

  async renew(name: string, fence: string, leaseMs: number): Promise<boolean> {
    return (
      (await this.#run(RENEW, 'Extending the lease on', name, fence, `${leaseMs}`, fenceMs(leaseMs))) === 1
    );
  }

  async finish(
    name: string,
    fence: string,
    result: string | null,
    windowMs: number,
    fingerprint?: string | null,
  ): Promise<boolean> {
    const key = this.#keyOf(name);
    const print = fingerprint || null;
    const mac = await this.dependencies.seal?.sign({ key, fence, fingerprint: print, result });
    const kept = [result === null ? '0' : '1', result ?? '', mac ?? '', print ?? ''];
    return (await this.#run(FINISH, 'Marking as done', name, fence, `${windowMs}`, ...kept)) === 1;
  }

  async release(name: string, fence: string): Promise<void> {
    await this.#run(RELEASE, 'Releasing', name, fence);
  }

  async #run(script: LeaseScript, doing: string, name: string, ...given: string[]): Promise<unknown> {
    const key = this.#keyOf(name);
    const words = [key, `${key}:fence`, ...given];
    const what = `${doing} ${name}`;
    try {
      return await this.#within(this.client.evalsha(script.sha, 2, ...words));
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw this.#translate(error, name, what);
    }
    try {
      return await this.#within(this.client.eval(script.text, 2, ...words));
    } catch (error) {
      throw this.#translate(error, name, what);
    }
  }

  /** The part in braces determines the cluster slot; it is never empty. */
  #keyOf(name: string): string {
    return `${this.#options.prefix}:{n${name}}`;
  }

  async #assertGenuine(
    name: string,
    mark: { readonly result: string | null; readonly fingerprint: string | null },
    [fence = null, mac = null]: readonly (string | null)[],
  ): Promise<void> {
    const { seal } = this.dependencies;
    if (seal === undefined) return;
    const key = this.#keyOf(name);
    if (fence !== null && (await seal.isGenuine({ key, fence, ...mark }, mac))) return;
    throw this.#refuse(name, mac === null ? 'it carries no MAC' : "its MAC is not this service's");
  }

  #refuse(name: string, why: string, cause?: unknown): LeaseForgedError {
    this.#forged += 1;
    const error = new LeaseForgedError(this.#keyOf(name), why, { cause });
    this.#logger.error(error.message);
    return error;
  }

  /** Only a Redis error that no later attempt can change is passed on unchanged. */
  #translate(error: unknown, name: string, doing: string): unknown {
    const message = messageOf(error);
    const answered = error instanceof Error && error.name === 'ReplyError';
    if (answered && NO_LEASE.test(message)) return this.#refuse(name, message, withoutCommand(error));
    const cause = answered ? withoutCommand(error) : error;
    if (answered && !UNAVAILABLE.test(message)) return cause;
    return new LeaseStoreUnavailableError(`${doing} (${message})`, { cause });
  }

  async #within(answer: Promise<unknown>): Promise<unknown> {
    const answered = new AbortController();
    const { commandTimeoutMs } = this.#options;
    const limit = this.#clock.sleep(commandTimeoutMs, answered.signal).then(() => {
      if (!answered.signal.aborted) throw new Error(`no response within ${commandTimeoutMs} ms`);
      return undefined;
    });
    // It may end long after the wait is over.
    answer.catch(() => {});
    return Promise.race([answer, limit]).finally(() => answered.abort());
  }
}

function fenceMs(leaseMs: number): string {
  return `${Math.max(FENCE_MIN_MS, FENCE_LEASES * leaseMs)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function textOr(value: string | number | null | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** ioredis attaches the command to an error, including results and fingerprints that must not appear in a log. */
function withoutCommand(error: Error): Error {
  const plain = new Error(error.message);
  plain.name = error.name;
  return plain;
}
