import type pg from 'pg';
import type { Fault } from './fault.js';
import { connectSoon } from './own-connection.js';

const TABLES = [
  'topic',
  'topic_partition',
  'outbox',
  'relay_cursor',
  'log_batch',
  'consumer_group',
  'group_member',
  'partition_owner',
  'consumer_position',
  'delivery_mark',
  'parked_message',
  'dead_letter',
  'timer',
  'half_message',
];
const LOCK_ATTEMPTS = 50;
let upgrades = 0;

/**
 * The next version of the schema, while processes of this version run: every table gets a column, and every function is created
 * again. As in a migration, each step is a transaction that waits for locks within bounds.
 */
export const schemaUpgrade: Fault = {
  durationMs: 1_000,
  async begin({ server, database }) {
    const client = await connectSoon(server.connectionString, database);
    upgrades += 1;
    const column = `added_${upgrades}`;
    try {
      await client.query("set lock_timeout = '200ms'");
      for (const table of TABLES)
        await untilLocked(client, `alter table waybill.${table} add column ${column} integer default 7`);
      const { rows } = await client.query<{ definition: string }>(
        `select pg_get_functiondef(p.oid) as definition from pg_proc p
          where p.pronamespace = 'waybill'::regnamespace and p.prokind = 'f'`,
      );
      for (const { definition } of rows) await untilLocked(client, definition);
    } finally {
      await client.end();
    }
    return { detail: `column ${column} in ${TABLES.length} tables`, heal: async () => {} };
  },
};

async function untilLocked(client: pg.Client, statement: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(statement);
      return;
    } catch (error) {
      const { code } = error as { readonly code?: string };
      const isBusy = code === '55P03' || code === '40P01' || code === 'XX000';
      if (!isBusy || attempt === LOCK_ATTEMPTS) throw error;
    }
  }
}
