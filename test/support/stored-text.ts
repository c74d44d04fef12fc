import type { PgDatabase } from '@waybill/kernel';

/** The tables of Waybill's schema that contain a text in any column: as text, in JSON, or as bytes. */
export async function tablesWith(database: PgDatabase, text: string): Promise<string[]> {
  const { rows: tables } = await database.pool.query<{ name: string }>(
    `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'waybill' and c.relkind = 'r' order by 1`,
  );
  const found: string[] = [];
  const hex = Buffer.from(text, 'utf8').toString('hex');
  for (const { name } of tables) {
    const { rows } = await database.pool.query(
      `select 1 from waybill."${name}" t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0 limit 1`,
      [text, hex],
    );
    if (rows.length > 0) found.push(name);
  }
  return found;
}
