import type { PgDatabase } from '@waybill/kernel';
import { compareWithRole, type RoleQuestion } from '@waybill/schema';
import { type Finding, ok, problem } from './finding.js';

/** Whether a login has the rights of its roles, and no others. */
export async function checkRole(database: PgDatabase, question: RoleQuestion): Promise<Finding> {
  const found = await compareWithRole(database.session, question);
  const roles = question.roles.join(' and ');
  if (found === undefined)
    return problem('privileges', `there is no role ${question.login}`, 'Create it, or correct --login.');
  const { login, missing, excess, powers, members } = found;
  const problems = [
    ...(missing.length === 0 ? [] : [`it lacks rights of a ${roles}`]),
    ...(excess.length === 0 ? [] : [`it has rights that a ${roles} does not need`]),
    ...powers,
  ];
  const text = `${login} as ${roles}: ${problems.join('; ')}`;
  const others = members.length === 0 ? '' : ` (what it may, its members may: ${members.join(', ')})`;
  if (problems.length === 0)
    return ok('privileges', `${login} has the rights of a ${roles}, and no others${others}`);
  const fixes = [...missing, ...excess];
  const advice =
    fixes.length === 0 ? 'Use a login of its own for it, made by `waybill grants`.' : fixes.join(' ');

  return problem('privileges', `${text}${others}`, advice);
}
