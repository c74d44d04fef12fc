import { createHmac } from 'node:crypto';
import { PgDatabase } from '@waybill/kernel';
import { applyGrants, type GrantOptions } from '@waybill/schema';
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { type ServiceName, SERVICES } from '../contracts/services.js';

const NAME_BYTES = 63;

/** The users with a login: the services, and the operator who decides about dead letters. */
const PEOPLE = [...SERVICES, 'operator'] as const;
export type LoginName = (typeof PEOPLE)[number];

/** A login's rights on Waybill in a database. */
export type LoginRights = Omit<GrantOptions, 'login' | 'schema'>;

/** Whether role $2 lacks rights on a table or a sequence of schema $1. */
const LACKS_RIGHTS = `
  select exists (
    select from pg_class c
     where c.relnamespace = $1::regnamespace
       and not case
         when c.relkind in ('r', 'p') then has_table_privilege($2, c.oid, 'insert')
         when c.relkind = 'S' then has_sequence_privilege($2, c.oid, 'usage')
         else true
       end) as missing`;

/** The login of `name` in `database`. Logins belong to the whole server, hence both names in it. */
export function loginOf(database: string, name: LoginName): string {
  const prefix = database.replaceAll(/[^A-Za-z0-9_]/g, '_').slice(0, NAME_BYTES - 1 - name.length);
  return `${prefix}_${name}`;
}

/**
 * Gives users a separate login each in a database, with the least of Waybill's rights that they need, and a service
 * rights on its own tables, if they are in this database; on nothing else.
 * @param connectionString of the owner
 * @param tablesOf the service whose tables are here
 * @returns the connection string of each; undefined when the owner may not create roles
 */
export async function makeLogins(
  client: Client,
  connectionString: string,
  database: string,
  rights: Partial<Record<LoginName, LoginRights>>,
  tablesOf: ServiceName | undefined,
): Promise<Partial<Record<LoginName, string>> | undefined> {
  const { rows } = await client.query<{ allowed: boolean }>(
    'select rolsuper or rolcreaterole as allowed from pg_roles where rolname = current_user',
  );
  if (rows[0]?.allowed !== true) return undefined;
  const owner = new PgDatabase({ connectionString, connectionsMax: 1 });
  const logins: Partial<Record<LoginName, string>> = {};
  try {
    for (const name of PEOPLE) {
      const wanted = rights[name];
      if (wanted === undefined) continue;
      const login = loginOf(database, name);
      const password = passwordOf(login, connectionString);
      await createLogin(client, login, password);
      await owner.withConnection((connection) => applyGrants(connection, { ...wanted, login }));
      if (name === tablesOf) await grantTables(client, name, login);
      logins[name] = connectionStringAs(connectionString, login, password);
    }
  } finally {
    await owner.close();
  }
  return logins;
}

/** The same in every process, so that several may prepare the databases at the same time; only the owner knows it. */
function passwordOf(login: string, ownersConnectionString: string): string {
  return createHmac('sha256', ownersConnectionString).update(login).digest('base64url');
}

async function createLogin(client: Client, login: string, password: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [login]);
  const verb = rowCount === 0 ? 'create' : 'alter';
  await client.query(`${verb} role ${escapeIdentifier(login)} login password ${escapeLiteral(password)}`);
}

/** Grants rights on all tables of a service's own schema, unless it has them. */
async function grantTables(client: Client, schemaName: string, login: string): Promise<void> {
  const { rows } = await client.query<{ missing: boolean }>(LACKS_RIGHTS, [schemaName, login]);
  if (rows[0]?.missing !== true) return;
  const schema = escapeIdentifier(schemaName);
  const role = escapeIdentifier(login);
  await client.query(`grant usage on schema ${schema} to ${role}`);
  await client.query(`grant select, insert, update on all tables in schema ${schema} to ${role}`);
  await client.query(`grant usage on all sequences in schema ${schema} to ${role}`);
}

/** Drops the logins of a removed database, so that nothing of it is left on the server. */
export async function dropLogins(client: Client, database: string): Promise<void> {
  for (const name of PEOPLE) {
    await client.query(`drop role if exists ${escapeIdentifier(loginOf(database, name))}`);
  }
}

function connectionStringAs(connectionString: string, login: string, password: string): string {
  const url = new URL(connectionString);
  url.username = encodeURIComponent(login);
  url.password = password;
  return url.href;
}
