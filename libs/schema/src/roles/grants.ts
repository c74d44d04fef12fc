import { ConfigurationError, DEFAULT_SCHEMA, type PgConnection } from '@waybill/kernel';
import { assertSchemaName } from '@waybill/kernel/internal';
import { aclStatements, type Restriction } from './acl.js';
import { rightsOf } from './rights.js';
import { SCHEMA_PARTS, schemaOf, type SchemaPart } from '../schema-part.js';
import { assertLogin, assertRole, quoteName, quoteText, type Role } from './role.js';

/** Roles to grant, and the login. */
export interface GrantOptions extends Restriction {
  /** The login's roles; several if one login does all of it. */
  readonly roles: readonly Role[];
  /** A role of the server. Its grants apply to its members too. */
  readonly login: string;
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /** The part whose rights are granted: where service and bus have databases of their own, the one. Default: both. */
  readonly part?: SchemaPart;
}

/** A granted right on an object. */
export interface Right {
  readonly kind: 'schema' | 'table' | 'sequence' | 'function';
  readonly name: string;
  /** As in GRANT, in lower case: `insert`. */
  readonly privilege: string;
  /** If given, only on these columns. */
  readonly columns?: readonly string[];
}

/** The rights of roles in a part of the schema, object by object. @throws ConfigurationError without a role */
export function rightsFor(roles: readonly Role[], part: SchemaPart): Right[] {
  if (roles.length === 0) throw new ConfigurationError('The roles cannot be granted', ['no role is given']);
  const { tables, functions, sequences } = rightsOf(part);
  const grantees = new Set(roles);
  const rights: Right[] = [{ kind: 'schema', name: '', privilege: 'usage' }];
  for (const [name, byRole] of Object.entries(tables)) {
    for (const grantee of grantees) rights.push(...privilegesOf(byRole[grantee] ?? '', name));
  }
  for (const [name, allowed] of Object.entries(sequences)) {
    if (allowed.some((role) => grantees.has(role)))
      rights.push({ kind: 'sequence', name, privilege: 'usage' });
  }
  for (const [name, allowed] of Object.entries(functions)) {
    if (allowed.some((role) => grantees.has(role)))
      rights.push({ kind: 'function', name, privilege: 'execute' });
  }
  return rights;
}

/** Parses `select, insert (a, b)`. */
function privilegesOf(text: string, name: string): Right[] {
  return [...text.matchAll(/(\w+)(?: \(([^)]*)\))?/g)].map(([, privilege = '', columns]) => ({
    kind: 'table',
    name,
    privilege,
    ...(columns === undefined ? {} : { columns: columns.split(', ') }),
  }));
}

/**
 * The statements that grant a login the rights of its roles, and revoke all its other rights in the schemas;
 * for the owner, in one transaction. They can be applied repeatedly.
 * @throws ConfigurationError for an unusable role, login or pattern
 */
export function grantStatements(options: GrantOptions): string[] {
  const { roles, login, schema = DEFAULT_SCHEMA, part } = options;
  for (const role of roles) assertRole(role);
  assertLogin(login);
  assertSchemaName(schema);
  return (part === undefined ? SCHEMA_PARTS : [part]).flatMap((each) =>
    grantsIn(options, each, schemaOf(schema, each)),
  );
}

function grantsIn(options: GrantOptions, part: SchemaPart, schema: string): string[] {
  const { roles, login } = options;
  const rights = rightsFor(roles, part);
  const to = quoteName(login);
  const inSchema = quoteName(schema);
  return [
    ownerRefused(login, schema),
    ...['tables', 'sequences', 'routines'].map(
      (all) => `revoke all on all ${all} in schema ${inSchema} from ${to}`,
    ),
    `revoke all on schema ${inSchema} from ${to}`,
    ...[...grouped(rights)].map(([object, privileges]) => {
      const [kind = '', name = ''] = object.split(' ');
      const what = kind === 'schema' ? `schema ${inSchema}` : `${kind} ${inSchema}.${quoteName(name)}`;
      return `grant ${privileges.join(', ')} on ${what} to ${to}`;
    }),
    ...aclStatements(options, schema),
  ];
}

/** The owner has all rights, and would lose them: it is refused before anything is revoked. */
function ownerRefused(login: string, schema: string): string {
  const problem = `${login} owns schema ${schema}: create a separate login for the role`;
  return `do ${quoteText(
    `begin if exists (select from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner ` +
      `where n.nspname = ${quoteText(schema)} and r.rolname = ${quoteText(login)}) ` +
      `then raise exception using message = ${quoteText(problem)}; end if; end`,
  )}`;
}

function grouped(rights: readonly Right[]): Map<string, string[]> {
  const byObject = new Map<string, string[]>();
  for (const { kind, name, privilege, columns } of rights) {
    const object = `${kind} ${name}`;
    const text = columns === undefined ? privilege : `${privilege} (${columns.map(quoteName).join(', ')})`;
    byObject.set(object, [...new Set([...(byObject.get(object) ?? []), text])]);
  }
  return byObject;
}

const ATTEMPTS = 20;

/**
 * Grants, in one transaction. A service that empties a slot of a ring at the same time changes the same rows of the
 * catalog; the grant is then retried.
 * @throws the server's error
 */
export async function applyGrants(connection: PgConnection, options: GrantOptions): Promise<void> {
  const statements = grantStatements({ ...options, schema: connection.schema });
  for (let attempt = 1; ; attempt += 1) {
    try {
      await connection.execute('begin');
      for (const statement of statements) await connection.execute(statement);
      await connection.execute('commit');
      return;
    } catch (error) {
      await connection.rollback();
      if (attempt === ATTEMPTS || !/tuple concurrently updated/.test(String(error))) throw error;
    }
  }
}
