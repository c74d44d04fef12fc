import type { PgDatabase } from '@waybill/kernel';
import { compareWithRole, type RoleQuestion } from '@waybill/schema/internal';
import { hasOutbox } from '../statements.generated.js';
import { type Finding, ok, problem, warning } from './finding.js';

const SHOWN = 5;
const PUBLISHES = /^grant .*\binsert\b.* on table "[^"]+"."outbox" /;

/** Whether the login of the connection may do what a service does. */
export async function checkPrivileges(database: PgDatabase): Promise<Finding> {
  const [schema] = await database.session.run(hasOutbox, database.schema);
  const part = schema?.whole === false ? 'participant' : 'whole';
  const missing = (await compareWithRole(database.session, { roles: ['service'], part }))?.missing ?? [];
  if (missing.length === 0) return ok('privileges', 'this login may publish, relay and consume');
  const more = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : '';
  const mayPublish = !missing.some((grant) => PUBLISHES.test(grant));
  const report = mayPublish ? warning : problem;
  return report(
    'privileges',
    `this login ${mayPublish ? 'may publish, and not relay and consume' : 'may not even publish'}: it lacks ${missing.slice(0, SHOWN).join(' ')}${more}`,
    'Say by --role what it is to be (docs/OPERATIONS.md, "Roles"), or grant it that by `waybill grants`.',
  );
}

/** Whether a login has the rights of its roles, and no others. */
export async function checkRole(database: PgDatabase, question: RoleQuestion): Promise<Finding> {
  const found = await compareWithRole(database.session, question);
  if (found === undefined)
    return problem('privileges', `there is no role ${question.login}`, 'Create it, or correct --login.');
  const { login, missing, excess, powers, memberOf, members } = found;
  const roles = question.roles.join(' and ');
  const problems = [
    ...(missing.length === 0 ? [] : [`it lacks rights of a ${roles}`]),
    ...(excess.length === 0 ? [] : [`it has rights that a ${roles} does not need`]),
    ...powers,
  ];
  const becomes = memberOf.length === 0 ? '' : `; it may become ${memberOf.join(', ')}`;
  const others = members.length === 0 ? '' : `; what it may, its members may: ${members.join(', ')}`;
  if (problems.length > 0) {
    const fixes = [...missing, ...excess];
    return problem(
      'privileges',
      `${login} as ${roles}: ${problems.join('; ')}${becomes}${others}`,
      fixes.length === 0 ? 'Use a login of its own for it, made by `waybill grants`.' : fixes.join(' '),
    );
  }
  const text = `${login} has the rights of a ${roles}, and no others${becomes}${others}`;
  return memberOf.length === 0
    ? ok('privileges', text)
    : warning('privileges', text, 'Revoke memberships that are not meant: revoke … from …;');
}
