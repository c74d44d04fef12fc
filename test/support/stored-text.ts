import type { PgDatabase } from '@waybill/kernel';

/** The tables of Waybill's schemas that contain a text in any column: as text, in JSON, or as bytes. */
export async function tablesWith(database: PgDatabase, text: string): Promise<string[]> {
  const { rows: tables } = await database.pool.query<{ name: string; schema: string }>(
    `select c.relname as name, n.nspname as schema from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('waybill', 'waybill_bus') and c.relkind = 'r' order by 1, 2`,
  );
  const found: string[] = [];
  const hex = Buffer.from(text, 'utf8').toString('hex');
  for (const { name, schema } of tables) {
    const { rows } = await database.pool.query(
      `select 1 from ${schema}."${name}" t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0 limit 1`,
      [text, hex],
    );
    if (rows.length > 0) found.push(name);
  }
  return found;
}
