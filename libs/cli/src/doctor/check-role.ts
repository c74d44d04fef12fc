import type { PgDatabase } from '@waybill/kernel';
import { compareWithRole, type RoleQuestion } from '@waybill/schema/internal';
import { type Finding, ok, problem, warning } from './finding.js';

const SHOWN = 5;
const PUBLISHES = /^grant .*\binsert\b.* on table "[^"]+"."outbox" /;

/** Whether the connection's login has the rights of a service. */
export async function checkPrivileges(database: PgDatabase): Promise<Finding> {
  const missing =
    (await compareWithRole(database.session, { roles: ['service'], part: 'service' }))?.missing ?? [];
  if (missing.length === 0) return ok('privileges', 'this login may publish, relay and consume');
  const more = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : '';
  const mayPublish = !missing.some((grant) => PUBLISHES.test(grant));
  const report = mayPublish ? warning : problem;
  return report(
    'privileges',
    `this login ${mayPublish ? 'may publish, but not relay or consume' : 'may not even publish'}: it lacks ${missing.slice(0, SHOWN).join(' ')}${more}`,
    'Give its intended role with --role (docs/OPERATIONS.md, "Roles"), or grant it the rights with `waybill grants`.',
  );
}

/** Whether a login has exactly the rights of its roles. */
export async function checkRole(database: PgDatabase, question: RoleQuestion): Promise<Finding> {
  const found = await compareWithRole(database.session, question);
  if (found === undefined)
    return problem('privileges', `role ${question.login} does not exist`, 'Create it, or correct --login.');
  const { login, missing, excess, powers, memberOf, members } = found;
  const roles = question.roles.join(' and ');
  const problems = [
    ...(missing.length === 0 ? [] : [`it lacks rights of a ${roles}`]),
    ...(excess.length === 0 ? [] : [`it has rights that a ${roles} does not need`]),
    ...powers,
  ];
  const becomes = memberOf.length === 0 ? '' : `; it is a member of ${memberOf.join(', ')}`;
  const others = members.length === 0 ? '' : `; its members have the same rights: ${members.join(', ')}`;
  if (problems.length > 0) {
    const fixes = [...missing, ...excess];
    return problem(
      'privileges',
      `${login} as ${roles}: ${problems.join('; ')}${becomes}${others}`,
      fixes.length === 0 ? 'Use a separate login for it, set up with `waybill grants`.' : fixes.join(' '),
    );
  }
  const text = `${login} has the rights of a ${roles}, and no others${becomes}${others}`;
  return memberOf.length === 0
    ? ok('privileges', text)
    : warning('privileges', text, 'Revoke unintended memberships: revoke … from …;');
}
