import type pg from 'pg';
import { TOPIC } from '../load/topic.js';
import type { Fault, FaultTargets } from './fault.js';
import { connectSoon } from './own-connection.js';

/** Numbers of messages of these transactions, apart from those of producers. */
const OWN_NUMBERS = 1_000_000_000;

/** A transaction stays open after it has published; it commits in the end, and its message arrives then. */
export const openTransaction: Fault = {
  durationMs: 10_000,
  isBackground: true,
  stopsNothing: true,
  async begin(targets) {
    const { client, n } = await publishInTransaction(targets);
    return {
      detail: `message ${n}`,
      // Its session may be gone by another fault: then it was rolled back.
      heal: async () => {
        await client.query('commit').catch(() => {});
        await client.end().catch(() => {});
      },
    };
  },
};

/** A transaction that has published is prepared and forgotten for a while: its id outlives its session. It commits in the end. */
export const prepared: Fault = {
  durationMs: 8_000,
  isBackground: true,
  stopsNothing: true,
  async begin(targets) {
    const { client, n } = await publishInTransaction(targets);
    const gid = `chaos-${n}`;
    await client.query(`prepare transaction '${gid}'`);
    await client.end();
    return {
      detail: gid,
      heal: async () => {
        const again = await connectSoon(targets.database);
        await again.query(`commit prepared '${gid}'`);
        await again.end();
      },
    };
  },
};

/** A report, or a backup, holds a snapshot for minutes. */
export const snapshot: Fault = {
  durationMs: 120_000,
  isBackground: true,
  stopsNothing: true,
  async begin({ database }) {
    const client = await connectSoon(database);
    await client.query('begin isolation level repeatable read');
    await client.query('select count(*) from waybill.topic');
    return {
      detail: 'repeatable read',
      heal: () => client.end().catch(() => {}),
    };
  },
};

async function publishInTransaction({
  database,
  random,
}: FaultTargets): Promise<{ client: pg.Client; n: number }> {
  const client = await connectSoon(database);
  const n = OWN_NUMBERS + Math.floor(random() * 1_000_000);
  const key = `own-${n}`;
  await client.query('begin');
  await client.query('insert into published (n, key, turn) values ($1, $2, 1)', [n, key]);
  await client.query('select waybill.publish($1, $2, $3)', [TOPIC, key, JSON.stringify({ n, key, turn: 1 })]);
  return { client, n };
}
