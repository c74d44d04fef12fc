import {
  type Clock,
  describeError,
  isWaybillError,
  type Logger,
  silentLogger,
  systemClock,
} from '@waybill/kernel';
import type { LeaseClaim, LeaseStore } from './lease-store.js';

/**
 * What happens to guarded work while Redis cannot be reached.
 *
 * - `refuse`: it is not begun: LeaseStoreUnavailableError, which may be retried.
 * - a store in PostgreSQL: it continues with that. Claims and marks known only to Redis would be lost at the switch,
 *   and one process may reach Redis while another does not. So PostgreSQL is authoritative at all times: every claim
 *   and every mark goes to both, and Redis only serves duplicates. A first delivery then costs two commits in
 *   PostgreSQL and two Redis commands; a duplicate costs one Redis command and no PostgreSQL, unless Redis has
 *   forgotten it.
 */
export function fallbackLeaseStore(
  redis: LeaseStore,
  fallback: LeaseStore | 'refuse',
  logger: Logger = silentLogger,
  clock: Clock = systemClock,
): LeaseStore {
  return fallback === 'refuse' ? redis : new BackedLeaseStore(redis, fallback, logger, clock);
}

/**
 * Interval at which Redis is retried while it is unreachable, in milliseconds, so that not every call waits for it.
 */
const AWAY_MS = 1_000;

/**
 * Leases with an authoritative store, and in front of it a second one that may be unreachable and serves duplicates.
 */
class BackedLeaseStore implements LeaseStore {
  /** Fences of the front store, by those of the authoritative store; for the claims of this process. */
  readonly #fronts = new Map<string, string>();
  #askAgainAt = -Infinity;
  #away = false;

  constructor(
    private readonly front: LeaseStore,
    private readonly truth: LeaseStore,
    private readonly logger: Logger,
    private readonly clock: Clock,
  ) {}

  async claim(name: string, fingerprint: string | null, leaseMs: number): Promise<LeaseClaim> {
    const before = await this.#ask(() => this.front.claim(name, fingerprint, leaseMs));
    if (before?.state === 'done') return before;
    // Only the authoritative store is believed when it reports a claim: otherwise any writer to Redis could block the
    // work.
    const frontFence = before?.state === 'claimed' ? before.fence : undefined;
    let claim: LeaseClaim;
    try {
      claim = await this.truth.claim(name, fingerprint, leaseMs);
    } catch (error) {
      if (frontFence !== undefined) await this.#ask(() => this.front.release(name, frontFence));
      throw error;
    }
    if (frontFence === undefined) return claim;
    if (claim.state === 'claimed') this.#fronts.set(claim.fence, frontFence);
    // In front it is unknown or forgotten. A mark is not put there again: how long it has to live is not known here.
    else await this.#ask(() => this.front.release(name, frontFence));
    return claim;
  }

  async renew(name: string, fence: string, leaseMs: number): Promise<boolean> {
    const renewed = await this.truth.renew(name, fence, leaseMs);
    const front = this.#fronts.get(fence);
    if (!renewed) this.#fronts.delete(fence);
    else if (front !== undefined) await this.#ask(() => this.front.renew(name, front, leaseMs));
    return renewed;
  }

  async finish(
    name: string,
    fence: string,
    result: string | null,
    windowMs: number,
    fingerprint?: string | null,
  ): Promise<boolean> {
    const finished = await this.truth.finish(name, fence, result, windowMs, fingerprint);
    const front = this.#fronts.get(fence);
    this.#fronts.delete(fence);
    if (finished && front !== undefined)
      await this.#ask(() => this.front.finish(name, front, result, windowMs, fingerprint));
    return finished;
  }

  async release(name: string, fence: string): Promise<void> {
    const front = this.#fronts.get(fence);
    this.#fronts.delete(fence);
    if (front !== undefined) await this.#ask(() => this.front.release(name, front));
    await this.truth.release(name, fence);
  }

  /** Calls the front store; undefined if it is unreachable, or its entry was not written by this service. */
  async #ask<T>(command: () => Promise<T>): Promise<T | undefined> {
    if (this.clock.monotonic() < this.#askAgainAt) return undefined;
    try {
      const answer = await command();
      if (this.#away) this.logger.info('Redis is reachable again');
      this.#away = false;
      return answer;
    } catch (error) {
      if (!isWaybillError(error)) throw error;
      // It was counted and logged where it was found.
      if (error.code === 'LEASE_FORGED') return undefined;
      if (error.code !== 'LEASE_STORE_UNAVAILABLE') throw error;
      if (!this.#away)
        this.logger.warn(`Redis is unreachable, continuing with PostgreSQL alone: ${describeError(error)}`);
      this.#away = true;
      this.#askAgainAt = this.clock.monotonic() + AWAY_MS;
      return undefined;
    }
  }
}
