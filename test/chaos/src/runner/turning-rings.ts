import type { Pool } from 'pg';
import { plantInDatabase } from '../mutants/plant-in-database.js';
import type { Planting } from '../mutants/mutant.js';

/** The slots of the rings are current for this long in a run, in seconds, instead of minutes and hours. */
const SLOT_SECONDS = 2;
/** Passes of a slot of the relay's intents, instead of 10,000. */
const INTENTS = 100;
const PER_HOUR = '/ 3600)::bigint % 4';
const RINGS: readonly Planting[] = [
  {
    at: { sqlFunction: 'consumer_recycle' },
    find: PER_HOUR,
    replace: `/ ${SLOT_SECONDS})::bigint % 4`,
  },
  ...['relay_intend', 'relay_intent_recycle'].map((sqlFunction) => ({
    at: { sqlFunction },
    find: '/ 10000',
    replace: `/ ${INTENTS}`,
  })),
];

/** Lets a service's rings turn in seconds: what they do once in an hour must be seen in a run. Slots of publishers turn by {@link PUBLISHERS_RING}. */
export async function turnRings(pool: Pool): Promise<void> {
  for (const ring of RINGS) await plantInDatabase(pool, ring);
  for (const table of ['consumer_position', 'delivery_mark'])
    await pool.query(
      `alter table waybill.${table} alter column slot
         set default (floor(extract(epoch from clock_timestamp()) / ${SLOT_SECONDS})::bigint % 4)::smallint`,
    );
  await pool.query(
    `alter table waybill.outbox alter column slot
       set default (floor(extract(epoch from clock_timestamp()) / ${SLOT_SECONDS})::bigint % 8)::smallint`,
  );
}

/** Lets the bus's ring of passes turn in seconds. Its buckets are turned by its retention. */
export async function turnBus(pool: Pool): Promise<void> {
  await plantInDatabase(pool, {
    at: { sqlFunction: 'log_source_recycle' },
    find: '/ 86400)::bigint',
    replace: `/ ${SLOT_SECONDS})::bigint`,
  });
  await pool.query(
    `alter table waybill_bus.log_source alter column slot
       set default (floor(extract(epoch from clock_timestamp()) / ${SLOT_SECONDS})::bigint % 8)::smallint`,
  );
}

/** The ring of the outbox, as publishing processes turn it. */
export const PUBLISHERS_RING: Planting = {
  at: { file: 'outbox/dist/publish/current-slot.js' },
  find: 'SLOT_MS = 600_000',
  replace: `SLOT_MS = ${SLOT_SECONDS}_000`,
};
