import { escapeIdentifier, type Client } from 'pg';
import { SERVICES, type ServiceName } from '../contracts/services.js';

const NAME_BYTES = 63;

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

/** The role that `service` works under in `database`. Roles belong to the whole server, hence both names in it. */
export function serviceRole(database: string, service: ServiceName): string {
  const prefix = database.replaceAll(/[^A-Za-z0-9_]/g, '_').slice(0, NAME_BYTES - 1 - service.length);
  return `${prefix}_${service}`;
}

/**
 * Gives each service a role with rights on its own schema, where its tables are here, and on Waybill's; on nothing else.
 * @param owners the services whose tables are in this database
 * @param guests those that only use its log
 * @returns false when the login may not create roles: the services then work under the login itself.
 */
export async function grantServiceRoles(
  client: Client,
  database: string,
  owners: readonly ServiceName[],
  guests: readonly ServiceName[],
): Promise<boolean> {
  const { rows } = await client.query<{ allowed: boolean }>(
    'select rolsuper or rolcreaterole as allowed from pg_roles where rolname = current_user',
  );
  if (rows[0]?.allowed !== true) return false;
  for (const service of [...owners, ...guests]) {
    const name = serviceRole(database, service);
    await createRole(client, name);
    await grantOn(client, 'waybill', name, 'all');
    if (owners.includes(service)) await grantOn(client, service, name, 'select, insert, update');
  }
  return true;
}

/**
 * Grants rights on all tables of a schema, unless the role has them: a GRANT fails when a running service truncates one of
 * the tables at that moment.
 */
async function grantOn(client: Client, schemaName: string, roleName: string, rights: string): Promise<void> {
  const { rows } = await client.query<{ missing: boolean }>(LACKS_RIGHTS, [schemaName, roleName]);
  if (rows[0]?.missing !== true) return;
  const schema = escapeIdentifier(schemaName);
  const role = escapeIdentifier(roleName);
  await client.query(`grant usage on schema ${schema} to ${role}`);
  await client.query(`grant ${rights} on all tables in schema ${schema} to ${role}`);
  await client.query(`grant all on all sequences in schema ${schema} to ${role}`);
  await client.query(`grant execute on all routines in schema ${schema} to ${role}`);
}

/** Drops the roles of a database that is gone, so that nothing of it is left on the server. */
export async function dropServiceRoles(client: Client, database: string): Promise<void> {
  for (const service of SERVICES) {
    await client.query(`drop role if exists ${escapeIdentifier(serviceRole(database, service))}`);
  }
}

/** The connection string by which a session works under `role` from its first statement on. */
export function connectionStringAs(connectionString: string, role: string): string {
  const url = new URL(connectionString);
  const options = url.searchParams.get('options');
  url.searchParams.set('options', `${options === null ? '' : `${options} `}-c role=${role}`);
  return url.href;
}

async function createRole(client: Client, role: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role]);
  if (rowCount !== 0) return;
  await client.query(`create role ${escapeIdentifier(role)}`);
  await client.query(`grant ${escapeIdentifier(role)} to current_user`);
}
