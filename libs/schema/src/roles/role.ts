import { ConfigurationError } from '@waybill/kernel';
import { nearestName } from '@waybill/kernel/internal';

/** The roles of a login. */
export const ROLES = ['publisher', 'service', 'monitor', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/** @throws ConfigurationError with the nearest role */
export function assertRole(name: string): asserts name is Role {
  if ((ROLES as readonly string[]).includes(name)) return;
  const nearest = nearestName(name, ROLES);
  throw new ConfigurationError('There is no such role', [
    `role ${JSON.stringify(name)} is not known, ${nearest === undefined ? `known are ${ROLES.join(', ')}` : `did you mean ${nearest}?`}`,
  ]);
}

/**
 * The maximum length of a name in PostgreSQL, in bytes; it truncates longer ones, which would then name another role.
 */
const NAME_BYTES = 63;

/** @throws ConfigurationError for a text that cannot be a role's name, or means PUBLIC */
export function assertLogin(login: string): void {
  const problem =
    login === ''
      ? 'it is empty'
      : login.includes('\0')
        ? 'it contains a null character'
        : Buffer.byteLength(login) > NAME_BYTES
          ? `it has more than ${NAME_BYTES} bytes`
          : login === 'public' || login === 'none'
            ? 'PostgreSQL reads it as PUBLIC or NONE'
            : undefined;
  if (problem !== undefined)
    throw new ConfigurationError('The login is not usable', [`${JSON.stringify(login)}: ${problem}`]);
}

/** A name as an SQL identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as an SQL literal, whatever `standard_conforming_strings` says. */
export function quoteText(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
