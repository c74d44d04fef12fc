import { ConfigurationError } from '@waybill/kernel';
import { nearestName } from '@waybill/kernel/internal';

/** What a login may be to Waybill. */
export const ROLES = ['publisher', 'service', 'participant', 'monitor', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/**
 * What is in the database that is asked about. `whole`: everything. `bus`: the log, and what belongs to it; services keep
 * sagas and guards elsewhere. `participant`: a service's own sagas and guards, the log is elsewhere.
 */
export type DatabasePart = 'whole' | 'bus' | 'participant';

/** @throws ConfigurationError that names the nearest role */
export function assertRole(name: string): asserts name is Role {
  if ((ROLES as readonly string[]).includes(name)) return;
  const nearest = nearestName(name, ROLES);
  throw new ConfigurationError('There is no such role', [
    `role ${JSON.stringify(name)} is not known, ${nearest === undefined ? `known are ${ROLES.join(', ')}` : `did you mean ${nearest}?`}`,
  ]);
}

/** Bytes of a name in PostgreSQL; it cuts longer ones off, and would mean another role. */
const NAME_BYTES = 63;

/** @throws ConfigurationError for what cannot be the name of a role, or means everybody */
export function assertLogin(login: string): void {
  const problem =
    login === ''
      ? 'it is empty'
      : login.includes('\0')
        ? 'it holds a null character'
        : Buffer.byteLength(login) > NAME_BYTES
          ? `it has more than ${NAME_BYTES} bytes`
          : login === 'public' || login === 'none'
            ? 'PostgreSQL reads it as everybody, or as nobody'
            : undefined;
  if (problem !== undefined)
    throw new ConfigurationError('The login is not usable', [`${JSON.stringify(login)}: ${problem}`]);
}

/** A name as an identifier of SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as a literal of SQL, whatever `standard_conforming_strings` says. */
export function quoteText(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
