import type { Pool } from 'pg';
import { plant, type Planting } from './mutant.js';

/** Replaces a text in a function of the database; does nothing for a text of code. @throws StaleMutantError */
export async function plantInDatabase(pool: Pool, planting: Planting): Promise<void> {
  if (!('sqlFunction' in planting.at)) return;
  const { rows } = await pool.query<{ definition: string }>(
    `select pg_get_functiondef(p.oid) as definition from pg_proc p
      where p.pronamespace = 'waybill'::regnamespace and p.proname = $1`,
    [planting.at.sqlFunction],
  );
  for (const { definition } of rows) await pool.query(plant(planting, definition));
}
