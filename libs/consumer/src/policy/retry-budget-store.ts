import { type Clock, describeError, type Logger, type SqlSession } from '@waybill/kernel';
import { type RedisGiven } from '@waybill/timer';
import { openRedis, type RedisClient } from '@waybill/timer/internal';
import { drawRetryBudget } from '../statements.generated.js';

/** The limits of a retry budget. */
export interface BudgetLimits {
  /** Retries added per second. */
  readonly perSecond: number;
  /** Retries that may be saved up. */
  readonly burst: number;
}

/** The budget's consumer group. */
export interface BudgetOwner {
  readonly id: number;
  readonly name: string;
}

/** Stores a group's retry budget, shared by all its processes. */
export interface RetryBudgetStore {
  /** Draws up to `wanted` retries; resolves to the number granted. */
  draw(group: BudgetOwner, wanted: number, limits: BudgetLimits): Promise<number>;
  close(): Promise<void>;
}

/** Stores budgets in PostgreSQL, one row per group. */
export class PostgresBudgetStore implements RetryBudgetStore {
  constructor(private readonly session: SqlSession) {}

  async draw(group: BudgetOwner, wanted: number, { perSecond, burst }: BudgetLimits): Promise<number> {
    const [row] = await this.session.run(drawRetryBudget, group.id, wanted, perSecond, burst);
    return row?.granted ?? 0;
  }

  async close(): Promise<void> {
    // The session is somebody else's.
  }
}

/** How long Redis is not used after a failure, in milliseconds. */
const PAUSE_MS = 2_000;
/** Expiry of a bucket without draws, in milliseconds; it is full long before that. */
const FORGET_MS = 3_600_000;

/** A token bucket by Redis's clock. (J. Turner, 1986, as a leaky bucket used the other way round.) */
const DRAW = `local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local wanted, perSecond, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tokens = tonumber(kept[1]) or burst
local passed = math.max(0, now - (tonumber(kept[2]) or now))
tokens = math.min(burst, tokens + perSecond * passed / 1000)
local granted = math.min(wanted, math.floor(tokens))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - granted), 'at', tostring(now))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return granted`;

/** Stores budgets in Redis, and in another store while Redis is unavailable. */
export class RedisBudgetStore implements RetryBudgetStore {
  readonly #client: RedisClient;
  #leftAloneUntil = -Infinity;

  /**
   * @param prefix of the keys; in braces, so that a cluster keeps them in one slot
   * @throws ConfigurationError
   */
  constructor(
    redis: RedisGiven,
    private readonly prefix: string,
    private readonly fallback: RetryBudgetStore,
    private readonly dependencies: { readonly clock: Clock; readonly logger: Logger },
  ) {
    // Connection problems show when the budget is drawn from.
    this.#client = openRedis(redis, false, () => {});
  }

  async draw(group: BudgetOwner, wanted: number, limits: BudgetLimits): Promise<number> {
    const { clock, logger } = this.dependencies;
    if (clock.monotonic() < this.#leftAloneUntil) return this.fallback.draw(group, wanted, limits);
    const key = `${this.prefix}:budget:${group.name}`;
    try {
      const { perSecond, burst } = limits;
      return Number(await this.#client.eval(DRAW, 1, key, wanted, perSecond, burst, FORGET_MS));
    } catch (error) {
      logger.debug(`drawing from the retry budget in the database: ${describeError(error)}`);
      this.#leftAloneUntil = clock.monotonic() + PAUSE_MS;
      return this.fallback.draw(group, wanted, limits);
    }
  }

  async close(): Promise<void> {
    this.#client.disconnect();
    await this.fallback.close();
  }
}
