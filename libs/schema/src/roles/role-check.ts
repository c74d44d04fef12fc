import type { SqlSession } from '@waybill/kernel';
import { effectiveRights, loginPowers, ownLogin } from '../statements.generated.js';
import { schemaOf, type SchemaPart } from '../schema-part.js';
import { type Right, rightsFor } from './grants.js';
import { assertLogin, quoteName, type Role } from './role.js';

/** The result of comparing a login with its roles. */
export interface RoleComparison {
  readonly login: string;
  /** GRANTs for missing rights. */
  readonly missing: readonly string[];
  /** REVOKEs for rights it does not need. */
  readonly excess: readonly string[];
  /** Powers that it has without grants: sentences with what to do. */
  readonly powers: readonly string[];
  /** Roles that it may assume with SET ROLE, whatever it inherits. */
  readonly memberOf: readonly string[];
  /** Roles that may assume it, or inherit from it. */
  readonly members: readonly string[];
}

/** Options of a role check. */
export interface RoleQuestion {
  readonly roles: readonly Role[];
  /** Default: the login of the session. */
  readonly login?: string | undefined;
  /** The part to compare in. */
  readonly part: SchemaPart;
}

/**
 * Compares the rights of a login in a part of the session's schema with those of its roles. Undefined when there is no such
 * login.
 * @throws ConfigurationError for roles that cannot be combined
 */
export async function compareWithRole(
  session: SqlSession,
  { roles, part, login: asked }: RoleQuestion,
): Promise<RoleComparison | undefined> {
  const login = asked ?? (await session.run(ownLogin))[0]?.login ?? '';
  assertLogin(login);
  const schema = schemaOf(session.schema, part);
  const [powers] = await session.run(loginPowers, login, schema);
  if (powers === undefined) return undefined;
  const told = sentences(login, powers);
  const { memberOf, members } = powers;
  // A login that may do everything lacks nothing, and no REVOKE restricts it.
  if (powers.superuser) return { login, missing: [], excess: [], powers: told, memberOf, members };
  const actual = await session.run(effectiveRights, login, schema);
  const has = new Map(
    actual.map((right) => [keyOf(right.kind, right.name, right.privilege, right.columnName), right]),
  );
  const wanted = rightsFor(roles, part).flatMap(columnByColumn);
  const needed = new Set(wanted.map(({ key }) => key));
  const missing = wanted.filter(({ key, whole }) => !has.has(key) && !has.has(whole));
  const excess = [...has].filter(
    ([key, { kind, name, privilege }]) => !needed.has(key) && !needed.has(keyOf(kind, name, privilege, null)),
  );
  return {
    login,
    missing: statementsOf(
      'grant',
      missing.map(({ right }) => right),
      login,
      schema,
    ),
    excess: [true, false].flatMap((byAll) =>
      statementsOf(
        'revoke',
        excess
          .filter(([, right]) => right.byAll === byAll)
          .map(([, { kind, name, privilege, columnName }]) => ({
            kind: kind as Right['kind'],
            name,
            privilege,
            ...(columnName === null ? {} : { columns: [columnName] }),
          })),
        byAll ? null : login,
        schema,
      ),
    ),
    powers: told,
    memberOf,
    members,
  };
}

interface Wanted {
  readonly key: string;
  /** The key of the same right on the whole table. */
  readonly whole: string;
  readonly right: Right;
}

function columnByColumn(right: Right): Wanted[] {
  const { kind, name, privilege, columns } = right;
  const whole = keyOf(kind, name, privilege, null);
  if (columns === undefined) return [{ key: whole, whole, right }];
  return columns.map((column) => ({
    key: keyOf(kind, name, privilege, column),
    whole,
    right: { ...right, columns: [column] },
  }));
}

function keyOf(kind: string, name: string, privilege: string, column: string | null): string {
  return [kind, name, privilege, ...(column === null ? [] : [column])].join(' ');
}

/** One statement per object; `login` null: PUBLIC. */
function statementsOf(
  verb: 'grant' | 'revoke',
  rights: readonly Right[],
  login: string | null,
  schema: string,
): string[] {
  const objects = new Map<string, Map<string, string[]>>();
  for (const { kind, name, privilege, columns = [] } of rights) {
    const object =
      kind === 'schema' ? `schema ${quoteName(schema)}` : `${kind} ${quoteName(schema)}.${quoteName(name)}`;
    const privileges = objects.get(object) ?? new Map<string, string[]>();
    privileges.set(privilege, [...(privileges.get(privilege) ?? []), ...columns.map(quoteName)]);
    objects.set(object, privileges);
  }
  const whom = `${verb === 'grant' ? 'to' : 'from'} ${login === null ? 'public' : quoteName(login)}`;
  return [...objects].map(([object, privileges]) => {
    const list = [...privileges].map(([privilege, columns]) =>
      columns.length === 0 ? privilege : `${privilege} (${columns.join(', ')})`,
    );
    return `${verb} ${list.join(', ')} on ${object} ${whom};`;
  });
}

interface Powers {
  readonly superuser: boolean;
  readonly bypassesRowSecurity: boolean;
  readonly createsRoles: boolean;
  readonly replicates: boolean;
  readonly owned: readonly string[];
}

const SHOWN = 5;

function sentences(login: string, powers: Powers): string[] {
  const name = quoteName(login);
  const told: string[] = [];
  const attributes: [boolean, string, string][] = [
    [powers.superuser, 'is a superuser, to whom no rights and no policies apply', 'nosuperuser'],
    [powers.bypassesRowSecurity, 'bypasses row-level security, and so its restrictions', 'nobypassrls'],
    [powers.createsRoles, 'may create roles, and grant itself others', 'nocreaterole'],
    [powers.replicates, 'may replicate, and so read every table', 'noreplication'],
  ];
  for (const [has, text, attribute] of attributes)
    if (has) told.push(`${login} ${text}: alter role ${name} ${attribute};`);
  if (powers.owned.length > 0) {
    const shown = powers.owned.slice(0, SHOWN).join(', ');
    const more = powers.owned.length > SHOWN ? ` and ${powers.owned.length - SHOWN} more` : '';
    told.push(
      `${login} owns ${shown}${more}, to whom no policies apply: let a role that only migrates own the schema`,
    );
  }
  return told;
}
