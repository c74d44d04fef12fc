import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderSql } from '@waybill/kernel/internal';
import type pg from 'pg';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A piece of SQL and its location. */
export interface SqlFile {
  readonly name: string;
  readonly text: string;
}

/** Every statement of the libraries, as it is sent, for the schemas `waybill` and `waybill_bus`. */
export async function builtStatements(): Promise<SqlFile[]> {
  const modules = filesBelow('libs', /^libs\/[a-z-]+\/src\/statements\.generated\.ts$/);
  const all = await Promise.all(modules.map((path) => import(join(ROOT, path)) as Promise<object>));
  return all.flatMap((exported) =>
    Object.values(exported as Record<string, SqlFile>).map(({ name, text }) => ({
      name,
      text: renderSql(text, 'waybill').replaceAll(':slot', '0'),
    })),
  );
}

/** Everything that contains SQL: statements, migrations, and the sources that build SQL. */
function sqlSources(): SqlFile[] {
  const sources = /^libs\/[a-z-]+\/((sql|migrations)\/.*\.sql|src\/.*(?<!generated)\.ts)$/;
  return filesBelow('libs', sources).map(read);
}

/** The operators in our SQL. */
export function operatorNames(): string[] {
  const found = new Set<string>();
  for (const { name, text } of sqlSources()) {
    if (!name.endsWith('.sql')) continue;
    const code = text.replaceAll(/'(?:[^']|'')*'/g, "''").replaceAll(/\$\w*\$|::|:=|=>/g, ' ');
    for (const [operator] of code.matchAll(/[-+*/<>=~!@#%^&|]+/g)) found.add(operator);
  }
  // These keywords are operators as well, and are looked up like them.
  for (const hidden of ['=', '<>', '<=', '>=', '~~']) found.add(hidden);
  return [...found].toSorted();
}

/** The words before a parenthesis in our SQL: functions, and more. */
export function calledNames(): string[] {
  const found = new Set<string>();
  for (const { text } of sqlSources()) {
    for (const [, word] of text.matchAll(/(?<![\w.])([a-z_][a-z0-9_]*)\s*\(/g)) found.add(word as string);
  }
  return [...found].toSorted();
}

function filesBelow(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.name === 'node_modules' || entry.name === 'dist') return [];
    if (entry.isDirectory()) return filesBelow(path, pattern);
    return pattern.test(path) ? [path] : [];
  });
}

function read(path: string): SqlFile {
  const text = readFileSync(join(ROOT, path), 'utf8')
    .replaceAll(/^\s*--.*$/gm, '')
    .replaceAll(':slot', '0')
    .trim();
  return { name: basename(path), text: renderSql(text, 'waybill') };
}

/**
 * Makes, as a role that may create in `public`, objects that shadow those of PostgreSQL where these do not match
 * exactly: operators and functions of the same names for all types that our SQL uses, and a type with implicit casts.
 * Each call of one is counted ({@link hostileCalls}) and fails.
 */
export async function plantHostileObjects(client: pg.Client | pg.PoolClient): Promise<void> {
  await client.query(`
    create role hostile_${process.pid};
    grant create, usage on schema public to hostile_${process.pid};
    set role hostile_${process.pid};
    create sequence public.hostile_call;
    create type public.hostile_type as (n int);
    create function public.hostile_cast(int) returns public.hostile_type language plpgsql as
      $$ begin perform pg_catalog.nextval('public.hostile_call'::regclass); raise exception 'a hostile cast was used'; end $$;
    create function public.hostile_cast(text) returns public.hostile_type language plpgsql as
      $$ begin perform pg_catalog.nextval('public.hostile_call'::regclass); raise exception 'a hostile cast was used'; end $$;
    create cast (int as public.hostile_type) with function public.hostile_cast(int) as implicit;
    create cast (text as public.hostile_type) with function public.hostile_cast(text) as implicit;
    grant all on sequence public.hostile_call to public`);
  await client.query('set search_path = pg_catalog');
  await client.query(PLANT_OPERATORS.replace('OPERATORS', literalArray(operatorNames())));
  await client.query(PLANT_FUNCTIONS.replace('NAMES', literalArray(calledNames())));
  await client.query('reset role; reset search_path');
}

/** Lets only its creator call a hostile object: a statement that would is refused as soon as it is planned. */
export async function lockHostileObjects(client: pg.Client | pg.PoolClient): Promise<void> {
  await client.query('revoke execute on all functions in schema public from public');
}

/** How often a hostile object was called. */
export async function hostileCalls(client: pg.Client | pg.PoolClient): Promise<number> {
  const { rows } = await client.query<{ calls: string }>(
    `select case when is_called then last_value else 0 end as calls from public.hostile_call`,
  );
  return Number(rows[0]?.calls);
}

function literalArray(names: readonly string[]): string {
  return `array[${names.map((name) => `'${name}'`).join(', ')}]`;
}

const TYPES = `array['smallint', 'integer', 'bigint', 'numeric', 'double precision', 'text', 'varchar', 'name', 'uuid',
  'jsonb', 'json', 'timestamptz', 'timestamp', 'interval', 'bytea', 'boolean', 'oid', 'xid8', 'pg_snapshot', 'regclass', '"char"',
  'bit', 'integer[]', 'bigint[]', 'smallint[]', 'text[]', 'uuid[]', 'xid8[]', 'public.hostile_type']`;

const PLANT_OPERATORS = `
do $do$
declare
  op text; l text; r text; result text; i integer := 0;
begin
  foreach op in array OPERATORS loop
    foreach l in array ${TYPES} loop
      foreach r in array ${TYPES} loop
        continue when exists (select from pg_operator o where o.oprname = op and o.oprleft = l::regtype
                                 and o.oprright = r::regtype and o.oprnamespace = 'pg_catalog'::regnamespace);
        result := case when op in ('=', '<>', '<', '>', '<=', '>=', '~', '~*', '!~', '!~*', '~~', '@>', '<@', '?')
                       then 'boolean' when op = '->>' or op = '#>>' then 'text' else l end;
        if to_regprocedure(format('public.hostile_%s_%s(%s, %s)', md5(op), md5(result), l, r)) is null then
          execute format('create function public.hostile_%s_%s(%s, %s) returns %s language plpgsql immutable as
            $$ begin perform pg_catalog.nextval(''public.hostile_call''::regclass);
                     raise exception ''a hostile operator was used: %% % %%'', %L, %L; end $$',
            md5(op), md5(result), l, r, result, l, r);
        end if;
        execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.hostile_%s_%s)',
                       op, l, r, md5(op), md5(result));
      end loop;
    end loop;
  end loop;
end $do$`.replace('%% % %%', '%% %%');

const PLANT_FUNCTIONS = `
do $do$
declare
  f record; kind text; place integer; args text[];
begin
  for f in select distinct p.proname, p.prokind, p.proretset, string_to_array(p.proargtypes::text, ' ')::oid[] as types, p.prorettype
             from pg_proc p
            where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any (NAMES)
              and p.pronargs between 1 and 6 and p.provariadic = 0
  loop
    -- One argument of another type at a time, and all of them.
    for place in 0 .. cardinality(f.types) loop
      foreach kind in array ${TYPES} loop
        args := array(select case when t.n = place or place = 0 then kind else format_type(t.type, null) end
                        from unnest(f.types) with ordinality as t (type, n) order by t.n);
        continue when args && array['internal', 'cstring', 'any', '"any"'];
        continue when to_regprocedure(format('pg_catalog.%I(%s)', f.proname, array_to_string(args, ', '))) is not null;
        continue when to_regprocedure(format('public.%I(%s)', f.proname, array_to_string(args, ', '))) is not null;
        begin
          execute format('create function public.%I(%s) returns %s language plpgsql immutable as
            $$ begin perform pg_catalog.nextval(''public.hostile_call''::regclass);
                     raise exception ''a hostile function was called: %%'', %L; end $$',
            f.proname, array_to_string(args, ', '),
            (case when f.proretset then 'setof ' else '' end)
              || case when f.prorettype in ('record'::regtype, 'anyelement'::regtype, 'anyarray'::regtype, 'anycompatible'::regtype, 'anycompatiblearray'::regtype)
                      then 'text' else format_type(f.prorettype, null) end,
            f.proname);
        exception when others then
          null;
        end;
      end loop;
    end loop;
  end loop;
end $do$`;
