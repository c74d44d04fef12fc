import type pg from 'pg';
import type { Fault } from './fault.js';
import { connectSoon, untilLocked } from './own-connection.js';

const TABLES = {
  waybill: [
    'topic',
    'topic_partition',
    'outbox',
    'relay_intent',
    'consumer_group',
    'progress_owner',
    'consumer_position',
    'delivery_mark',
    'parked_message',
    'dead_letter',
    'timer',
    'half_message',
  ],
  waybill_bus: [
    'topic',
    'topic_partition',
    'log_batch',
    'log_source',
    'consumer_group',
    'group_member',
    'partition_owner',
  ],
};
let upgrades = 0;

/**
 * The next version of the schema, while processes of this version run: every table gets a column, and every function is created
 * again. As in a migration, each step is a transaction that waits for locks within bounds.
 */
export const schemaUpgrade: Fault = {
  durationMs: 1_000,
  async begin({ database, bus, local, sagas }) {
    upgrades += 1;
    const column = `added_${upgrades}`;
    const services = [...new Set([database, local, sagas])];
    for (const [one, schema] of [
      [bus, 'waybill_bus'],
      ...services.map((service) => [service, 'waybill'] as const),
    ] as const) {
      const client = await connectSoon(one);
      try {
        await upgrade(client, schema, column);
      } finally {
        await client.end();
      }
    }
    return { detail: `column ${column} in all databases`, heal: async () => {} };
  },
};

async function upgrade(client: pg.Client, schema: keyof typeof TABLES, column: string): Promise<void> {
  await client.query("set lock_timeout = '200ms'");
  for (const table of TABLES[schema])
    await untilLocked(client, `alter table ${schema}.${table} add column ${column} integer default 7`);
  const { rows } = await client.query<{ definition: string }>(
    `select pg_get_functiondef(p.oid) as definition from pg_proc p
      where p.pronamespace = $1::regnamespace and p.prokind = 'f'`,
    [schema],
  );
  for (const { definition } of rows) await untilLocked(client, definition);
}
