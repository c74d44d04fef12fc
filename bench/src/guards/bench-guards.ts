import { migrate } from '@waybill/schema';
import { createDatabase, ensurePostgres, startRedis, type TestDatabase } from '@waybill/testing';
import type { Report } from '../main.js';
import { rounded } from '../statistics.js';
import { measureHalves, measureOpenHalves } from './halves.js';
import { measureHandling } from './handling.js';
import { measureRedisGuard } from './redis-guard.js';

/** Results of `npm run bench -- guards`. */
export interface GuardFigures {
  /**
   * Rate of handlers whose mark commits with their effect under the fence, relative to the rate without.
   */
  readonly fenceRatio: number;
  /** Effects per second under leases in Redis. */
  readonly redisGuardPerSecond: number;
  /** Half messages prepared and committed per second. */
  readonly halfPerSecond: number;
  /** Rate of checks among a million open half messages, relative to that among a thousand. */
  readonly openHalfRatio: number;
}

/** Runs the measurements, each on separate databases. */
export async function benchGuards(report: Report): Promise<GuardFigures> {
  const server = await ensurePostgres();
  const redis = await startRedis();
  const onTwo = async <T>(measure: (first: string, second: string) => Promise<T>): Promise<T> => {
    const databases: TestDatabase[] = [];
    try {
      for (const prefix of ['bench', 'bench_other']) {
        const database = await createDatabase(server, prefix);
        databases.push(database);
        await migrate({ connectionString: database.connectionString });
      }
      const [first, second] = databases.map(({ connectionString }) => connectionString) as [string, string];
      return await measure(first, second);
    } finally {
      for (const database of databases) await database.drop();
    }
  };
  try {
    const handling = await onTwo((url) => measureHandling(url, report));
    report(`message-id guard: ${rounded(handling.messageId, 3)} of the rate without any`);
    const redisGuardPerSecond = await measureRedisGuard(redis.url, report);
    const halfPerSecond = await onTwo((url) => measureHalves(url, report));
    const openHalfRatio = await onTwo((many, few) => measureOpenHalves(many, few, report));
    return {
      fenceRatio: rounded(handling.guarded, 3),
      redisGuardPerSecond: Math.round(redisGuardPerSecond),
      halfPerSecond: Math.round(halfPerSecond),
      openHalfRatio: rounded(openHalfRatio, 3),
    };
  } finally {
    await redis.stop();
    await server.stop();
  }
}
