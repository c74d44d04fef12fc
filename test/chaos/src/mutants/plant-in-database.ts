import type { Pool } from 'pg';
import { type Mutant, plant } from './mutant.js';

/** Plants a bug in a function of the database; nothing for a bug in code. @throws StaleMutantError */
export async function plantInDatabase(pool: Pool, mutant: Mutant): Promise<void> {
  if (!('sqlFunction' in mutant.at)) return;
  const { rows } = await pool.query<{ definition: string }>(
    `select pg_get_functiondef(p.oid) as definition from pg_proc p
      where p.pronamespace = 'waybill'::regnamespace and p.proname = $1`,
    [mutant.at.sqlFunction],
  );
  for (const { definition } of rows) await pool.query(plant(mutant, definition));
}
