import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { grantStatements, ROLES, SCHEMA_PARTS, schemaOf, type SchemaPart } from '@waybill/schema';
import { compareWithRole, rightsOf } from '@waybill/schema/internal';
import { RoleBus } from '../support/role-bus.js';

/** `WAYBILL_WRITE_SNAPSHOT=1` rewrites it. */
const SNAPSHOT = new URL('./roles.snapshot.txt', import.meta.url);

let bus: RoleBus;
let url: string;
beforeAll(async () => {
  bus = await RoleBus.create();
  url = await bus.database('roles');
});
afterAll(() => bus.close());

/** Everything that a login may do in the schema of a part, according to the server. */
async function rightsInDatabase(login: string, part: SchemaPart = 'service'): Promise<string[]> {
  const { rows } = await bus.as('owner', url).pool.query<{ line: string }>(
    `with asked as (select $1::name as login, $2::regnamespace as space)
     select line from (
       select format('table %s: %s', c.relname, string_agg(lower(p.name), ', ' order by p.name)) as line
         from pg_class c, asked a, unnest(array['SELECT','INSERT','UPDATE','DELETE','TRUNCATE','REFERENCES','TRIGGER']) p (name)
        where c.relnamespace = a.space and c.relkind in ('r', 'p', 'v', 'm')
          and has_table_privilege(a.login, c.oid, p.name)
        group by c.relname
       union all
       select format('columns of %s: %s (%s)', c.relname, lower(p.name), string_agg(t.attname, ', ' order by t.attname))
         from pg_class c, asked a, pg_attribute t, unnest(array['SELECT','INSERT','UPDATE','REFERENCES']) p (name)
        where c.relnamespace = a.space and c.relkind in ('r', 'p', 'v', 'm')
          and t.attrelid = c.oid and t.attnum > 0 and not t.attisdropped
          and has_column_privilege(a.login, c.oid, t.attnum, p.name) and not has_table_privilege(a.login, c.oid, p.name)
        group by c.relname, p.name
       union all
       select format('sequence %s: %s', c.relname, lower(p.name))
         from pg_class c, asked a, unnest(array['USAGE','SELECT','UPDATE']) p (name)
        where c.relnamespace = a.space and c.relkind = 'S' and has_sequence_privilege(a.login, c.oid, p.name)
       union all
       select format('function %s(%s)', f.proname, pg_get_function_identity_arguments(f.oid))
         from pg_proc f, asked a
        where f.pronamespace = a.space and has_function_privilege(a.login, f.oid, 'EXECUTE')
     ) l order by line collate "C"`,
    [login, schemaOf('waybill', part)],
  );
  return rows.map(({ line }) => line);
}

async function command(...args: string[]): Promise<string> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  program.commands.forEach((one) => one.exitOverride().configureOutput({ writeErr: () => {} }));
  await program.parseAsync(args, { from: 'user' });
  return printed;
}

test('each role may do only what the committed list says', async () => {
  const sections: string[] = [];
  for (const part of SCHEMA_PARTS)
    for (const role of ROLES) {
      await bus.grant('listed', url, { roles: [role], part });
      const lines = await rightsInDatabase(bus.name('listed'), part);
      sections.push(`${role}, ${part}\n${lines.map((line) => `  ${line}\n`).join('')}`);
    }
  const text = sections.join('\n');
  if (process.env['WAYBILL_WRITE_SNAPSHOT'] === '1') writeFileSync(SNAPSHOT, text);
  expect(existsSync(SNAPSHOT) ? readFileSync(SNAPSHOT, 'utf8') : '').toBe(text);
});

test('PUBLIC has no rights', async () => {
  for (const part of SCHEMA_PARTS) expect(await rightsInDatabase('public', part)).toEqual([]);
  const { rows } = await bus.as('owner', url).pool.query(
    `select has_schema_privilege('public'::name, 'waybill', 'USAGE')
           or has_schema_privilege('public'::name, 'waybill_bus', 'USAGE') as usage`,
  );
  expect(rows).toEqual([{ usage: false }]);
});

test.each(SCHEMA_PARTS)(
  'the list of a %s decides about every table, function and sequence, and no others',
  async (part) => {
    const { rows } = await bus.as('owner', url).pool.query<{ kind: string; name: string }>(
      `select case c.relkind when 'S' then 'sequences' else 'tables' end as kind, c.relname::text as name from pg_class c
      where c.relnamespace = $1::regnamespace
        and (c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
             or c.relkind = 'S' and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i'))
     union select 'functions', f.proname::text from pg_proc f where f.pronamespace = $1::regnamespace`,
      [schemaOf('waybill', part)],
    );
    const rights = rightsOf(part);
    for (const kind of ['tables', 'functions', 'sequences'] as const) {
      const there = rows.filter((row) => row.kind === kind).map(({ name }) => name);
      const decided = Object.keys(rights[kind]).filter((name) => !/^outbox_s\d$/.test(name));
      expect(decided.toSorted()).toEqual(there.toSorted());
    }
  },
);

test("no function with the owner's rights is open to PUBLIC, or depends on a search path", async () => {
  const { rows } = await bus.as('owner', url).pool.query(
    `select f.proname from pg_proc f where f.pronamespace in ('waybill'::regnamespace, 'waybill_bus'::regnamespace) and f.prosecdef
        and not coalesce('search_path=pg_catalog, pg_temp' = any (f.proconfig), false)`,
  );
  expect(rows).toEqual([]);
});

test.each(ROLES)('grants of a %s can be applied again, and revoke excess rights', async (role) => {
  await bus.grant('again', url, { roles: [role] });
  const first = await rightsInDatabase(bus.name('again'));
  await bus
    .as('owner', url)
    .pool.query(
      `grant truncate on waybill.topic to ${bus.name('again')}; grant select (key) on waybill.dead_letter to ${bus.name('again')}`,
    );
  await bus.grant('again', url, { roles: [role] });
  expect(await rightsInDatabase(bus.name('again'))).toEqual(first);
});

test('doctor compares a login with its role: missing rights, excess rights, and its attributes', async () => {
  await bus.grant('checked', url, { roles: ['service'] });
  const { session, pool } = bus.as('owner', url);
  const login = bus.name('checked');
  const compare = () => compareWithRole(session, { roles: ['service'], part: 'service', login });
  expect(await compare()).toEqual({ login, missing: [], excess: [], powers: [], memberOf: [], members: [] });

  await pool.query(
    `revoke insert on waybill.delivery_mark from ${login}; revoke execute on function waybill.fence from ${login};
     grant truncate on waybill.topic to ${login}; grant select (payload) on waybill.saga_stash to ${login};
     grant execute on function waybill.relay_reconcile to public`,
  );
  expect(await compare()).toMatchObject({
    missing: [
      `grant insert on table "waybill"."delivery_mark" to "${login}";`,
      `grant execute on function "waybill"."fence" to "${login}";`,
    ],
    excess: [
      'revoke execute on function "waybill"."relay_reconcile" from public;',
      `revoke select ("payload") on table "waybill"."saga_stash" from "${login}";`,
      `revoke truncate on table "waybill"."topic" from "${login}";`,
    ],
  });
  // Its advice works.
  const told = await compare();
  for (const statement of [...(told?.missing ?? []), ...(told?.excess ?? [])]) await pool.query(statement);
  expect(await compare()).toMatchObject({ missing: [], excess: [] });

  await bus.login('intern');
  await bus.onServer(
    `alter role ${login} bypassrls createrole; grant ${login} to ${bus.name('intern')}; grant ${bus.name('owner')} to ${login}`,
  );
  const powerful = await compare();
  expect(powerful?.members).toEqual([bus.name('intern')]);
  expect(powerful?.memberOf).toContain(bus.name('owner'));
  expect(powerful?.powers.join('\n')).toMatch(
    /bypasses row-level security[^]*create roles[^]*owns schema waybill/,
  );
  await bus.onServer(`alter role ${login} superuser`);
  expect((await compare())?.powers.join('\n')).toContain('is a superuser');
  expect(
    await compareWithRole(session, { roles: ['service'], part: 'service', login: 'no_such_login' }),
  ).toBeUndefined();
  await bus.onServer(
    `alter role ${login} nosuperuser nobypassrls nocreaterole; revoke ${bus.name('owner')} from ${login}`,
  );
});

test('the command prints, applies and lists; wrong names are refused with the nearest', async () => {
  const login = await bus.login('by_command');
  const grants = [
    '--database-url',
    url,
    'grants',
    '--role',
    'service',
    '--login',
    login,
    '--topics',
    'orders*',
    '--groups',
    'shop',
  ];
  const printed = await command(...grants);
  expect(printed).toMatch(
    /^begin;\ndo [^\n]*;\nrevoke all on all tables in schema "waybill" from "by_command_[^]*commit;\n$/,
  );
  expect(await rightsInDatabase(login)).toEqual([]);
  await command(...grants, '--apply');
  const applied = await rightsInDatabase(login);
  await bus.as('owner', url).pool.query(printed);
  expect(await rightsInDatabase(login)).toEqual(applied);
  expect(applied).toContain('table outbox: select');
  await command(...grants, '--bus', '--apply');
  expect(await rightsInDatabase(login, 'bus')).toContain('table log_batch: select');
  expect(await command('--database-url', url, 'acl')).toMatch(
    new RegExp(`${login} +consume +orders\\* +shop\n[^]*${login} +publish +orders\\*`),
  );

  const doctor = async (...options: string[]): Promise<string> => {
    const text = await command('--database-url', url, 'doctor', '--login', login, ...options);
    return text.split('\n').find((line) => line.includes('privileges')) ?? '';
  };
  expect(await doctor('--role', 'service')).toMatch(
    /^ok +privileges +by_command_\w+ has the rights of a service/,
  );
  expect(process.exitCode).toBeUndefined();
  expect(await doctor('--role', 'monitor')).toMatch(
    /^problem +privileges .*it has rights that a monitor does not need.*revoke /,
  );
  expect(process.exitCode).toBe(1);
  process.exitCode = undefined;

  await expect(command('grants', '--role', 'servise', '--login', 'x')).rejects.toThrow(
    /did you mean service\?/,
  );
  for (const wrong of ['public', 'none', '', 'x'.repeat(64), 'a\0b'])
    expect(() => grantStatements({ roles: ['service'], login: wrong })).toThrow(/The login is not usable/);
  for (const topics of [[], ["a'"], ['a b'], ['%']])
    expect(() => grantStatements({ roles: ['publisher'], login: 'x', topics })).toThrow(
      /cannot be restricted this way/,
    );
  expect(() => grantStatements({ roles: ['publisher'], login: 'x', groups: ['a'] })).toThrow(
    /acts for no group/,
  );
  expect(() => grantStatements({ roles: ['monitor'], login: 'x', topics: ['a'] })).toThrow(
    /cannot be restricted/,
  );
});

test('the owner keeps its rights, and is advised to create another login', async () => {
  await expect(bus.grant('owner', url, { roles: ['service'] })).rejects.toThrow(
    /owner_\w+ owns schema waybill/,
  );
});

test('a login may have any name, and it is never read as SQL', async () => {
  const hostile = `a"; drop table waybill.topic; --' \\ $$ E'`;
  await bus.onServer(`create role "${hostile.replaceAll('"', '""')}"`);
  try {
    const { pool } = bus.as('owner', url);
    for (const statement of grantStatements({ roles: ['publisher'], login: hostile, topics: ['orders'] }))
      await pool.query(statement);
    const { rows } = await pool.query('select login from waybill.acl where login = $1', [hostile]);
    expect(rows).toEqual([{ login: hostile }]);
    expect(await rightsInDatabase(hostile)).toContain(
      'function publish(topic text, key text, payload jsonb, headers jsonb, deliver_at timestamp with time zone, timer_token text)',
    );
  } finally {
    for (const statement of grantStatements({ roles: ['publisher'], login: hostile }).filter((one) =>
      /^revoke|^delete/.test(one),
    ))
      await bus.as('owner', url).pool.query(statement);
    await bus.onServer(`drop role "${hostile.replaceAll('"', '""')}"`);
  }
});
