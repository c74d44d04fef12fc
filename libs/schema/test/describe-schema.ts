import type pg from 'pg';

const COLUMNS = `
  select c.relname as name,
         string_agg(format('  %s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                           case when a.attnotnull then ' not null' else '' end,
                           coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')), E'\\n' order by a.attnum) as body
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
   where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition
   group by c.relname
   order by c.relname`;

const PARTITIONS = `
  select p.relname as name, string_agg(c.relname || ' (' || coalesce(array_to_string(c.reloptions, ', '), '') || ')', ', ' order by c.relname) as body
    from pg_inherits i
    join pg_class p on p.oid = i.inhparent
    join pg_class c on c.oid = i.inhrelid
    join pg_namespace n on n.oid = p.relnamespace
   where n.nspname = $1 and p.relkind = 'p'
   group by p.relname
   order by p.relname`;

const INDEXES = `
  select i.indexname as name, i.indexdef as body
    from pg_indexes i
    join pg_class c on c.relname = i.tablename
    join pg_namespace n on n.oid = c.relnamespace and n.nspname = i.schemaname
   where i.schemaname = $1 and not c.relispartition
   order by i.indexname`;

const FUNCTIONS = `
  select p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name,
         format('returns %s, %s%s, %s', pg_get_function_result(p.oid), case when p.prosecdef then 'security definer, ' else '' end,
                coalesce(array_to_string(p.proconfig, ', '), 'no settings'),
                -- Servers of different versions print a body that was resolved when it was made differently.
                case when p.prosqlbody is null then 'md5 ' || md5(replace(replace(p.prosrc, '"' || n.nspname || '"', 'schema'), n.nspname || '.', 'schema.'))
                     else 'resolved when made' end) as body
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
   where n.nspname = $1
   order by 1`;

const POLICIES = `
  select c.relname as name, string_agg(p.polname || ' for ' || p.polcmd::text, ', ' order by p.polname) as body
    from pg_policy p
    join pg_class c on c.oid = p.polrelid and c.relrowsecurity
    join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = $1
   group by c.relname
   order by c.relname`;

/**
 * The schema as text: tables with their columns, the rings' partitions, indexes, functions, policies. The same on every
 * server.
 */
export async function describeSchema(client: pg.Client, schema: string): Promise<string> {
  // Every name is then shown with its schema, whichever login is used.
  await client.query('set search_path to pg_catalog');
  const sections: string[] = [];
  for (const [title, query] of Object.entries({ COLUMNS, PARTITIONS, INDEXES, FUNCTIONS, POLICIES })) {
    const { rows } = await client.query<{ name: string; body: string }>(query, [schema]);
    sections.push(`${title}\n${rows.map(({ name, body }) => `${name}\n${body}\n`).join('\n')}`);
  }
  return sections.join('\n');
}
