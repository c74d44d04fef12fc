import { escapeIdentifier, type Client } from 'pg';
import { SERVICES, type ServiceName } from '../contracts/services.js';

const NAME_BYTES = 63;

/** The role that `service` works under in `database`. Roles belong to the whole server, hence both names in it. */
export function serviceRole(database: string, service: ServiceName): string {
  const prefix = database.replaceAll(/[^A-Za-z0-9_]/g, '_').slice(0, NAME_BYTES - 1 - service.length);
  return `${prefix}_${service}`;
}

/**
 * Gives each service a role with rights on its own schema and on Waybill's, and on nothing else.
 * @returns false when the login may not create roles: the services then work under the login itself.
 */
export async function grantServiceRoles(client: Client, database: string): Promise<boolean> {
  const { rows } = await client.query<{ allowed: boolean }>(
    'select rolsuper or rolcreaterole as allowed from pg_roles where rolname = current_user',
  );
  if (rows[0]?.allowed !== true) return false;
  for (const service of SERVICES) {
    const role = escapeIdentifier(serviceRole(database, service));
    const schema = escapeIdentifier(service);
    await createRole(client, serviceRole(database, service));
    await client.query(`grant ${role} to current_user`);
    await client.query(`grant usage on schema ${schema} to ${role}`);
    await client.query(`grant select, insert, update on all tables in schema ${schema} to ${role}`);
    await client.query(`grant usage on all sequences in schema ${schema} to ${role}`);
    await client.query(`grant usage on schema waybill to ${role}`);
    await client.query(`grant all on all tables in schema waybill to ${role}`);
    await client.query(`grant all on all sequences in schema waybill to ${role}`);
    await client.query(`grant execute on all routines in schema waybill to ${role}`);
  }
  return true;
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
  if (rowCount === 0) await client.query(`create role ${escapeIdentifier(role)}`);
}
