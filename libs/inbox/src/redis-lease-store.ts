import {
  type Clock,
  type Given,
  invariant,
  LeaseStoreUnavailableError,
  resolveOptions,
  systemClock,
  text,
  wholeNumber,
} from '@waybill/kernel';
import type { LeaseClaim, LeaseStore } from './lease-store.js';
import { CLAIM, FINISH, type LeaseScript, RELEASE, RENEW } from './redis-lease-scripts.js';

/** The part of a Redis client that leases need; those of ioredis have it, a cluster's too. */
export interface RedisLeaseClient {
  evalsha(sha: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
  eval(script: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
}

const SPECS = {
  /** Begins every key. */
  prefix: text({
    default: 'waybill:guard',
    pattern: /^[^{}]{1,100}$/,
    meaning: '1 to 100 characters without { and }',
  }),
  /** Redis counts as away when it has not answered after so many milliseconds. */
  commandTimeoutMs: wholeNumber({ default: 1_000, min: 10, max: 60_000 }),
};

/** Options of a {@link RedisLeaseStore}. */
export type RedisLeaseStoreOptions = Given<typeof SPECS>;

/** The last fence of a name is kept for so many leases, and at least for so many milliseconds. */
const FENCE_LEASES = 10;
const FENCE_MIN_MS = 3_600_000;

/** Answers by which Redis says that it cannot serve now. */
const UNAVAILABLE = /^(LOADING|CLUSTERDOWN|MASTERDOWN|READONLY|TRYAGAIN|OOM|NOREPLICAS|MISCONF|BUSY)\b/;

/**
 * Leases in Redis: fast, and as lasting as Redis is. A flush, an eviction, a crash without a file that is written at every
 * command, or a failover to a replica that lags behind forgets claims and marks: the work of such a name can then run
 * beside its holder, or again within the window. Where that must not be, take PostgreSQL, alone or behind Redis
 * ({@link guardWithout}). The instance must not evict keys (`maxmemory-policy noeviction`).
 */
export class RedisLeaseStore implements LeaseStore {
  readonly #options;

  /**
   * @param client connected; one that does not queue commands while it is not (`enableOfflineQueue: false`) tells sooner
   * @throws ConfigurationError
   */
  constructor(
    private readonly client: RedisLeaseClient,
    options: RedisLeaseStoreOptions = {},
    private readonly clock: Clock = systemClock,
  ) {
    this.#options = resolveOptions('leases in Redis', SPECS, options);
  }

  async claim(name: string, fingerprint: string | null, leaseMs: number): Promise<LeaseClaim> {
    const answer = await this.#run(
      CLAIM,
      'Claiming',
      name,
      `${leaseMs}`,
      fenceMs(leaseMs),
      fingerprint ?? '',
    );
    invariant(Array.isArray(answer), `the claim of ${name} brought no list`);
    const [state, first, second] = answer as [string, string | number | null, string | null];
    if (state === 'claimed') return { state, fence: String(first) };
    if (state === 'done')
      return { state, result: first === null ? null : String(first), fingerprint: second ?? null };
    return { state: 'in-progress', retryAfterMs: Math.max(0, Number(first)) };
  }

  async renew(name: string, fence: string, leaseMs: number): Promise<boolean> {
    return (
      (await this.#run(RENEW, 'Extending the lease on', name, fence, `${leaseMs}`, fenceMs(leaseMs))) === 1
    );
  }

  async finish(name: string, fence: string, result: string | null, windowMs: number): Promise<boolean> {
    const kept = result === null ? '0' : '1';
    return (await this.#run(FINISH, 'Marking as done', name, fence, `${windowMs}`, kept, result ?? '')) === 1;
  }

  async release(name: string, fence: string): Promise<void> {
    await this.#run(RELEASE, 'Giving back', name, fence);
  }

  async #run(script: LeaseScript, doing: string, name: string, ...given: string[]): Promise<unknown> {
    // The part in braces decides about the slot of a cluster; it is never empty.
    const key = `${this.#options.prefix}:{n${name}}`;
    const words = [key, `${key}:fence`, ...given];
    const what = `${doing} ${name}`;
    try {
      return await this.#within(this.client.evalsha(script.sha, 2, ...words));
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw translate(error, what);
    }
    try {
      return await this.#within(this.client.eval(script.text, 2, ...words));
    } catch (error) {
      throw translate(error, what);
    }
  }

  async #within(answer: Promise<unknown>): Promise<unknown> {
    const answered = new AbortController();
    const { commandTimeoutMs } = this.#options;
    const limit = this.clock.sleep(commandTimeoutMs, answered.signal).then(() => {
      if (!answered.signal.aborted) throw new Error(`no answer within ${commandTimeoutMs} ms`);
      return undefined;
    });
    // It may be answered, or fail, long after nobody waits.
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

/** Only an answer of Redis itself that no later try can change is passed on as it is. */
function translate(error: unknown, doing: string): unknown {
  const answered = error instanceof Error && error.name === 'ReplyError';
  if (answered && !UNAVAILABLE.test(error.message)) return error;
  return new LeaseStoreUnavailableError(`${doing} (${messageOf(error)})`, { cause: error });
}
