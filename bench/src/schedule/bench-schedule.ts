import { migrate } from '@waybill/schema';
import { createDatabase, ensurePostgres, startRedis } from '@waybill/testing';
import type { Report } from '../main.js';
import { rounded } from '../statistics.js';
import { measureArmAndFire } from './arm-and-fire.js';
import { measureLateness } from './lateness.js';
import { measureOtherKeys } from './other-keys.js';
import { measureRedisMemory } from './redis-memory.js';

/** Results of `npm run bench -- schedule`. */
export interface ScheduleFigures {
  /** Timers stored and armed in Redis per second. */
  readonly armPerSecond: number;
  /** Timers claimed and appended to the log per second. */
  readonly firePerSecond: number;
  /** From due time to the log at 1,000 per second, with Redis as the clock and with PostgreSQL. */
  readonly redisP99Ms: number;
  readonly postgresP99Ms: number;
  /** Redis memory for a timer that is due in a month, with a million of them. */
  readonly redisBytesPerFarTimer: number;
  /** Rate of the other keys while one key fails, relative to the rate without. */
  readonly otherKeysRatio: number;
}

/** Runs the measurements, each on a separate database. */
export async function benchSchedule(report: Report): Promise<ScheduleFigures> {
  const server = await ensurePostgres();
  const redis = await startRedis();
  const onFreshDatabase = async (measure: (url: string) => Promise<number>): Promise<number> => {
    const database = await createDatabase(server, 'bench');
    try {
      await migrate({ connectionString: database.connectionString });
      await redis.command('FLUSHALL');
      return await measure(database.connectionString);
    } finally {
      await database.drop();
    }
  };
  try {
    let firePerSecond = 0;
    const armPerSecond = await onFreshDatabase(async (url) => {
      const figures = await measureArmAndFire(url, redis.url, report);
      firePerSecond = figures.firePerSecond;
      return figures.armPerSecond;
    });
    const redisP99Ms = await onFreshDatabase((url) => measureLateness(url, redis.url, report));
    const postgresP99Ms = await onFreshDatabase((url) => measureLateness(url, undefined, report));
    const redisBytesPerFarTimer = await onFreshDatabase((url) => measureRedisMemory(url, redis, report));
    const otherKeysRatio = await onFreshDatabase((url) => measureOtherKeys(url, report));
    return {
      armPerSecond: Math.round(armPerSecond),
      firePerSecond: Math.round(firePerSecond),
      redisP99Ms: rounded(redisP99Ms, 2),
      postgresP99Ms: rounded(postgresP99Ms, 2),
      redisBytesPerFarTimer: rounded(redisBytesPerFarTimer, 3),
      otherKeysRatio: rounded(otherKeysRatio, 3),
    };
  } finally {
    await redis.stop();
    await server.stop();
  }
}
