import { Bell, PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay } from '@waybill/outbox';
import type { Report } from '../main.js';
import { median } from '../statistics.js';

const BACKLOG = 200_000;
const PAYLOAD_BYTES = 200;
const PAIRS = 6;

/** Results of {@link measureDrain}. */
export interface DrainFigures {
  readonly perSecond: number;
  readonly heldSnapshotRatio: number;
}

/**
 * Fills the outbox with 200,000 messages of 200 bytes and lets one relay move them, repeatedly: in turn with
 * nothing else going on, and while another session has held a snapshot since before the messages were written.
 */
export async function measureDrain(connectionString: string, report: Report): Promise<DrainFigures> {
  const database = new PgDatabase({ connectionString });
  try {
    const log = new PostgresLogEngine(database);
    await log.topics.create('orders.placed', { partitions: 4 });
    const relay = new Relay({ database, log, bell: new Bell() });
    await drain(database, relay);
    const free: number[] = [];
    const ratios: number[] = [];
    for (let pair = 0; pair < PAIRS; pair += 1) {
      // Each is first as often as the other, so that a machine that slows down does not bias the result.
      const heldFirst = pair % 2 === 1;
      const before = heldFirst ? await drainHeld(database, relay) : await drain(database, relay);
      const after = heldFirst ? await drain(database, relay) : await drainHeld(database, relay);
      const [alone, held] = heldFirst ? [after, before] : [before, after];
      free.push(alone);
      ratios.push(held / alone);
      report(`drain: ${Math.round(alone)} messages/s, ${Math.round(held)} while a snapshot is held`);
    }
    return { perSecond: median(free), heldSnapshotRatio: median(ratios) };
  } finally {
    await database.close();
  }
}

async function drain(database: PgDatabase, relay: Relay): Promise<number> {
  await database.pool.query(
    `insert into waybill.outbox (message_id, topic, key, payload)
     select gen_random_uuid(), 'orders.placed', 'order-' || i % 5000, convert_to(repeat('x', $2), 'UTF8')
       from generate_series(1, $1) i`,
    [BACKLOG, PAYLOAD_BYTES],
  );
  const before = relay.moved;
  const started = performance.now();
  while ((await relay.runOnce()) === 'again');
  const seconds = (performance.now() - started) / 1000;
  if (relay.moved - before !== BACKLOG) throw new Error(`${relay.moved - before} messages were moved`);
  return BACKLOG / seconds;
}

async function drainHeld(database: PgDatabase, relay: Relay): Promise<number> {
  const holder = await database.pool.connect();
  try {
    await holder.query('begin isolation level repeatable read');
    await holder.query('select count(*) from waybill.relay_intent');
    return await drain(database, relay);
  } finally {
    await holder.query('rollback');
    holder.release();
  }
}
