import { newId, PgDatabase, systemClock } from '@waybill/kernel';
import { decodeBatch } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { armedBy, type TimerCommand, TimerService, timerStatements } from '@waybill/timer';
import type { Report } from '../main.js';
import { quantile } from '../statistics.js';

const PER_SECOND = 1_000;
const SECONDS = 12;
const WARM_UP_SECONDS = 3;
/** Timers are scheduled in groups, one group per interval in milliseconds, due one to two seconds later. */
const GROUP_MS = 50;

/**
 * Lets 1,000 timers per second become due and measures the time from each one's due time to its record in the log, both
 * by the database's clock.
 * @returns the 99th percentile, in milliseconds
 */
export async function measureLateness(
  connectionString: string,
  redis: string | undefined,
  report: Report,
): Promise<number> {
  const database = new PgDatabase({ connectionString });
  const log = new PostgresLogEngine(database);
  await log.topics.create('orders.placed', { partitions: 4 });
  const clock = redis === undefined ? {} : { redis };
  const service = new TimerService({ database, log, ...clock });
  service.start();
  try {
    while (service.status.degraded) await systemClock.sleep(20);
    const total = PER_SECOND * SECONDS;
    await scheduleAll(database, service, total);
    while (service.status.fired < total) await systemClock.sleep(20);
    const late = await latenesses(database);
    const figure = (share: number): string => quantile(late, share).toFixed(1);
    const { clock: inUse } = service.status;
    report(`lateness by ${inUse}: p50 ${figure(0.5)} ms, p99 ${figure(0.99)} ms, max ${figure(1)} ms`);
    return quantile(late, 0.99);
  } finally {
    await service.stop();
    await database.close();
  }
}

async function scheduleAll(database: PgDatabase, service: TimerService, total: number): Promise<void> {
  const group = (PER_SECOND * GROUP_MS) / 1_000;
  const started = performance.now();
  for (let n = 0; n < total; n += group) {
    const from = Date.now() + 1_000;
    const commands = Array.from({ length: group }, (_, index): TimerCommand => {
      const dueMs = from + Math.floor(Math.random() * 1_000);
      const payload = Buffer.from(JSON.stringify({ n: n + index, dueMs }));
      const message = { id: newId(), token: null, topic: 'orders.placed', partition: null, headers: null };
      return { action: 'schedule', dueMs, message: { ...message, key: `order-${index}`, payload } };
    });
    await database.withConnection(async (connection) => {
      const results = await connection.runBatch(timerStatements(commands), { begin: true, commit: true });
      service.armed(armedBy(results));
    });
    const waitMs = started + ((n + group) * 1_000) / PER_SECOND - performance.now();
    if (waitMs > 0) await systemClock.sleep(waitMs);
  }
}

async function latenesses(database: PgDatabase): Promise<number[]> {
  const { rows } = await database.pool.query<{ data: Buffer; ms: number }>(
    'select data, (extract(epoch from appended_at) * 1000)::float8 as ms from waybill_bus.log_batch',
  );
  return rows.flatMap(({ data, ms }) =>
    [...decodeBatch(data)].flatMap(({ value }) => {
      const { n, dueMs } = JSON.parse(String(value)) as { n: number; dueMs: number };
      return n >= PER_SECOND * WARM_UP_SECONDS ? [ms - dueMs] : [];
    }),
  );
}
