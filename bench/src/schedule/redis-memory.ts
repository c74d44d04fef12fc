import { PgDatabase, systemClock } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { TimerService } from '@waybill/timer';
import type { RedisServer } from '@waybill/testing';
import type { Report } from '../main.js';

const FAR_TIMERS = 1_000_000;
/** Long enough for the loader to have run. */
const SETTLE_MS = 3_000;

/**
 * Additional bytes that Redis needs for each of a million timers due in a month.
 * @param redis a server without other users
 */
export async function measureRedisMemory(
  connectionString: string,
  redis: RedisServer,
  report: Report,
): Promise<number> {
  const database = new PgDatabase({ connectionString });
  const log = new PostgresLogEngine(database);
  await log.topics.create('orders.placed');
  const service = new TimerService({
    database,
    log,
    redis: redis.url,
  });
  service.start();
  try {
    while (service.status.degraded) await systemClock.sleep(20);
    await systemClock.sleep(SETTLE_MS);
    const before = await usedBytes(redis);
    await database.pool.query(
      `insert into waybill.timer (slot, due_at, kind, message_id, topic, payload)
       select 8, clock_timestamp() + interval '30 days' + i * interval '1 ms', 1, gen_random_uuid(), 'orders.placed',
              convert_to('{}', 'UTF8')
         from generate_series(1, $1) i`,
      [FAR_TIMERS],
    );
    service.armed([Date.now() + 30 * 86_400_000]);
    // Reloaded, as after a loss of Redis: far timers are not loaded.
    await redis.command('DEL', '{waybill}:timers:window');
    const { loads } = service.status;
    while (service.status.loads === loads) await systemClock.sleep(20);
    await systemClock.sleep(SETTLE_MS);
    const bytes = Math.max(0, (await usedBytes(redis)) - before) / FAR_TIMERS;
    report(`Redis: ${bytes.toFixed(3)} bytes for each of ${FAR_TIMERS} far timers`);
    return bytes;
  } finally {
    await service.stop();
    await database.close();
  }
}

async function usedBytes(redis: RedisServer): Promise<number> {
  const keys = (await redis.command('KEYS', '*')).split('\r\n').filter((line) => line.includes('{waybill}'));
  let bytes = 0;
  for (const key of keys)
    bytes += Number(/:(\d+)/.exec(await redis.command('MEMORY', 'USAGE', key))?.[1] ?? 0);
  return bytes;
}
