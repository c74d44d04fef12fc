import type { Pool } from 'pg';
import { plant, type Planting, StaleMutantError } from './mutant.js';

/** Replaces a text in a function of a database; does nothing for a text of code. @throws StaleMutantError */
export async function plantInDatabase(pool: Pool, planting: Planting): Promise<void> {
  await plantInDatabases([pool], planting);
}

/** The same in the databases of a system, of which not every one has the function. @throws StaleMutantError if none has */
export async function plantInDatabases(pools: readonly Pool[], planting: Planting): Promise<void> {
  if (!('sqlFunction' in planting.at)) return;
  const { sqlFunction } = planting.at;
  let planted = 0;
  for (const pool of pools) {
    const { rows } = await pool.query<{ definition: string }>(
      `select pg_get_functiondef(p.oid) as definition from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('waybill', 'waybill_bus') and p.proname = $1`,
      [sqlFunction],
    );
    for (const { definition } of rows) await pool.query(plant(planting, definition));
    planted += rows.length;
  }
  if (planted === 0)
    throw new StaleMutantError(`there is no function ${sqlFunction}: plant the bug elsewhere`);
}
