import { afterAll, beforeAll } from '@jest/globals';
import { type Clock, type Logger, newId, silentLogger, systemClock } from '@waybill/kernel';
import { decodeBatch } from '@waybill/log';
import { TimerService, type TimerServiceOptions, Timers } from '@waybill/timer';
import { redisIsAvailable, type RedisServer, startRedis } from '@waybill/testing';
import { describeWhere } from './describe-where.js';
import type { Fixture } from './fixture.js';

/** A timer service on a fixture's database, with the API that schedules. */
export function timersOf(
  fixture: Fixture,
  redis?: RedisServer,
  options: TimerServiceOptions = {},
  { logger = silentLogger, clock = systemClock }: { logger?: Logger; clock?: Clock } = {},
): { timers: Timers; service: TimerService } {
  const { database, engine: log } = fixture;
  const service = new TimerService(
    { database, log, logger, clock, ...(redis === undefined ? {} : { redis: redis.url }) },
    options,
  );
  return { timers: new Timers(database.session, service), service };
}

/** A message for `orders` with its number and due time. */
export function message(n: number, fields: { key?: string | null; token?: string; dueMs?: number } = {}) {
  return {
    id: newId(),
    token: fields.token ?? null,
    topic: 'orders',
    partition: null,
    key: fields.key === undefined ? `key-${n % 10}` : fields.key,
    headers: null,
    payload: Buffer.from(JSON.stringify({ n, dueMs: fields.dueMs })),
  };
}

/**
 * A suite that needs its own redis-server. Without one it is skipped with a message; in CI it fails.
 * @param suite gets a function that returns the server once the suite runs
 */
export function describeWithRedis(name: string, suite: (redis: () => RedisServer) => void): void {
  const usable = redisIsAvailable() && (process.env['REDIS_URL'] ?? '') === '';
  describeWhere(usable, name, 'a redis-server on the PATH, and REDIS_URL unset', () => {
    let server: RedisServer | undefined;
    beforeAll(async () => {
      server = await startRedis();
    });
    afterAll(async () => {
      await server?.stop();
    });
    suite(() => server ?? never());
  });
}

function never(): never {
  throw new Error('there is no redis-server');
}

/** A timer as it was fired: when it was due, and when it was appended to the log, by the database's clock. */
export interface Firing {
  readonly n: number;
  readonly dueMs: number;
  readonly appendedMs: number;
}

/** All records in the log, with the time at which each was appended. */
export async function firings(fixture: Fixture): Promise<Firing[]> {
  await fixture.moveOwn();
  const { rows } = await fixture.bus.pool.query<{ data: Buffer; ms: number }>(
    `select data, (extract(epoch from appended_at) * 1000)::float8 as ms from waybill_bus.log_batch`,
  );
  return rows.flatMap(({ data, ms }) =>
    [...decodeBatch(data)].map(({ value }) => {
      const { n, dueMs } = JSON.parse(String(value)) as { n: number; dueMs: number };
      return { n, dueMs, appendedMs: ms };
    }),
  );
}

/** What is wrong with the firings of timers 0 up to `count`. Empty when all is well. */
export function faultsOfFirings(fired: readonly Firing[], count: number): string[] {
  const seen = new Set<number>();
  const faults: string[] = [];
  for (const { n, dueMs, appendedMs } of fired) {
    if (seen.has(n)) faults.push(`timer ${n} was fired twice`);
    seen.add(n);
    if (appendedMs < dueMs) faults.push(`timer ${n} was fired ${dueMs - appendedMs} ms early`);
  }
  if (seen.size < count) faults.push(`${count - seen.size} of ${count} timers were lost`);
  return faults;
}
