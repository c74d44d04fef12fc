import { Bell, newId, PgDatabase, systemClock } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay } from '@waybill/outbox';
import { armedBy, type TimerCommand, TimerService, timerStatements } from '@waybill/timer';
import type { Report } from '../main.js';
import { median } from '../statistics.js';

const TIMERS = 40_000;
const AT_ONCE = 1_000;
const PAYLOAD_BYTES = 200;
const ROUNDS = 3;

/** Results of {@link measureArmAndFire}. */
export interface ArmAndFireFigures {
  readonly armPerSecond: number;
  readonly firePerSecond: number;
}

/**
 * Arms 40,000 timers of 200 bytes, a thousand per transaction, in the table and in Redis; then moves 40,000 that are
 * due from the table into the log. Also reports the rate through the outbox and its relay.
 */
export async function measureArmAndFire(
  connectionString: string,
  redis: string,
  report: Report,
): Promise<ArmAndFireFigures> {
  const database = new PgDatabase({ connectionString });
  const log = new PostgresLogEngine(database);
  await log.topics.create('orders.placed', { partitions: 4 });
  const service = new TimerService({ database, log, redis });
  const relay = new Relay({ database, log, bell: new Bell(), alarm: service });
  service.start();
  try {
    while (service.status.degraded) await systemClock.sleep(20);
    const armed: number[] = [];
    const fired: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      armed.push(await arm(database, service));
      await database.pool.query('truncate waybill.timer');
      const relayed = await armByOutbox(database, relay);
      await database.pool.query('truncate waybill.timer');
      report(`timers: ${Math.round(armed.at(-1) ?? 0)} armed/s, ${Math.round(relayed)}/s out of the outbox`);
    }
    await service.stop();
    for (let round = 0; round < ROUNDS; round += 1) {
      fired.push(await fire(database, log));
      report(`timers: ${Math.round(fired.at(-1) ?? 0)} fired/s`);
    }
    return { armPerSecond: median(armed), firePerSecond: median(fired) };
  } finally {
    await service.stop();
    await database.close();
  }
}

/** Arms timers that are due within five to fifteen minutes: all of them within Redis' window. */
async function arm(database: PgDatabase, service: TimerService): Promise<number> {
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x');
  const started = performance.now();
  const dueFrom = Date.now() + 300_000;
  await database.withConnection(async (connection) => {
    for (let n = 0; n < TIMERS; n += AT_ONCE) {
      const commands = Array.from({ length: AT_ONCE }, (_, index): TimerCommand => ({
        action: 'schedule',
        dueMs: dueFrom + (((n + index) * 7_919) % 590_000),
        message: {
          id: newId(),
          token: null,
          topic: 'orders.placed',
          partition: null,
          key: `order-${index}`,
          headers: null,
          payload,
        },
      }));
      const results = await connection.runBatch(timerStatements(commands), { begin: true, commit: true });
      service.armed(armedBy(results));
    }
  });
  return (TIMERS / (performance.now() - started)) * 1_000;
}

/** The same timers, published into the outbox and moved by its relay. */
async function armByOutbox(database: PgDatabase, relay: Relay): Promise<number> {
  await database.pool.query(
    `insert into waybill.outbox (message_id, topic, key, payload, timer_action, deliver_at)
     select gen_random_uuid(), 'orders.placed', 'order-' || i % 1000, convert_to(repeat('x', $2), 'UTF8'), 1,
            clock_timestamp() + interval '5 minutes' + (i % 590000) * interval '1 ms'
       from generate_series(1, $1) i`,
    [TIMERS, PAYLOAD_BYTES],
  );
  const started = performance.now();
  while ((await relay.runOnce()) === 'again');
  return (TIMERS / (performance.now() - started)) * 1_000;
}

async function fire(database: PgDatabase, log: LogEngine): Promise<number> {
  await database.pool.query(
    `insert into waybill.timer (slot, due_at, kind, message_id, topic, key, payload)
     select waybill.timer_slot(d.due_at), d.due_at, 1, gen_random_uuid(), 'orders.placed', 'order-' || i % 1000,
            convert_to(repeat('x', $2), 'UTF8')
       from generate_series(1, $1) i
      cross join lateral (select clock_timestamp() - i * interval '10 microseconds' as due_at) d`,
    [TIMERS, PAYLOAD_BYTES],
  );
  const service = new TimerService({ database, log });
  const started = performance.now();
  while ((await service.runOnce()) === 'again');
  const perSecond = (TIMERS / (performance.now() - started)) * 1_000;
  if (service.status.fired !== TIMERS) throw new Error(`${service.status.fired} timers were fired`);
  return perSecond;
}
