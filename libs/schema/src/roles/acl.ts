import { ConfigurationError, type SqlSession } from '@waybill/kernel';
import { listAcl, restriction } from '../statements.generated.js';
import { quoteName, quoteText, type Role } from './role.js';

/** Restrictions of a login. Default: none. In patterns `*` matches any text. */
export interface Restriction {
  /**
   * Topics that it may publish to, and consume if `consume` is not given. If that is given, this may be empty:
   * then the login only sends replies.
   */
  readonly topics?: readonly string[];
  /** Topics that it may consume, if different from those it publishes to. */
  readonly consume?: readonly string[];
  /** Groups that it may act for. Default, if topics are given: all. */
  readonly groups?: readonly string[];
}

/** An entry of the access list. */
export interface AclEntry {
  readonly login: string;
  /** Null: the login is restricted, and has no entry. */
  readonly action: 'publish' | 'consume' | null;
  readonly topics: string | null;
  readonly groups: string | null;
}

/** Reply topics: consumers of commands and requests publish to them. */
const ANSWERS = ['*.replies', '*.saga-replies'];
/** Topics that belong to a group. */
const OWN_TOPICS = ['replies', 'saga-replies'];
const PATTERN = /^[A-Za-z0-9._*-]{1,249}$/;

type Entry = readonly [action: 'publish' | 'consume', topics: string, groups: string];

/**
 * The statements that restrict a login, or remove its restriction.
 * @throws ConfigurationError for patterns that are not usable, or not for these roles
 */
export function aclStatements(
  options: Restriction & { readonly roles: readonly Role[]; readonly login: string },
  schema: string,
): string[] {
  const entries = entriesOf(options);
  const login = quoteText(options.login);
  const table = `${quoteName(schema)}.acl`;
  const removal = `delete from ${quoteName(schema)}.acl_login where login = ${login}`;
  if (entries === undefined) return [removal];
  const values = entries.map((entry) => `(${[login, ...entry.map(quoteText)].join(', ')})`).join(', ');
  return [
    removal,
    `insert into ${quoteName(schema)}.acl_login (login) values (${login})`,
    `insert into ${table} (login, action, topic_pattern, group_pattern) values ${values} on conflict do nothing`,
  ];
}

function entriesOf({
  roles,
  topics,
  consume,
  groups,
}: Restriction & { readonly roles: readonly Role[] }): Entry[] | undefined {
  if (topics === undefined && consume === undefined && groups === undefined) return undefined;
  assertPatterns({ topics, consume, groups }, roles);
  const publish = topics ?? ['*'];
  const entries: Entry[] = publish.map((topic) => ['publish', topic, '']);
  if (!roles.includes('service') && !roles.includes('operator')) return entries;
  const ofGroups = groups ?? ['*'];
  for (const group of ofGroups) {
    for (const topic of consume ?? publish) entries.push(['consume', topic, group]);
    for (const own of OWN_TOPICS) {
      entries.push(['consume', `${group}.${own}`, group], ['publish', `${group}.${own}`, '']);
    }
  }
  for (const answers of ANSWERS) entries.push(['publish', answers, '']);
  return entries;
}

function assertPatterns(
  restriction: { readonly [Option in keyof Restriction]: Restriction[Option] | undefined },
  roles: readonly Role[],
): void {
  const problems: string[] = [];
  for (const [option, patterns] of Object.entries(restriction) as [string, string[] | undefined][]) {
    if (patterns?.length === 0 && !(option === 'topics' && restriction.consume !== undefined))
      problems.push(`${option} is empty: omit it for all`);
    for (const pattern of patterns ?? [])
      if (!PATTERN.test(pattern))
        problems.push(
          `${option}: ${JSON.stringify(pattern)} must be 1 to 249 characters of A-Z a-z 0-9 . _ - and *`,
        );
  }
  if (roles.includes('monitor') && roles.length === 1)
    problems.push('a monitor sees figures of all topics and groups: it cannot be restricted');
  if (
    roles.every((role) => role === 'publisher') &&
    (restriction.groups ?? restriction.consume) !== undefined
  )
    problems.push('a publisher consumes nothing and acts for no group: give only topics');
  if (problems.length > 0) throw new ConfigurationError('The login cannot be restricted this way', problems);
}

/**
 * Processes that relay or fire timers must see every message.
 * @throws ConfigurationError when the session's login is restricted to certain topics
 */
export async function assertMayRelay(session: SqlSession): Promise<void> {
  const [found] = await session.run(restriction);
  if (found?.restricted !== true) return;
  throw new ConfigurationError('This login cannot relay, or fire timers', [
    `${found.login} is restricted to certain topics and would not move the messages of others. Set relay: false (and scheduler: false), and run the relay in a process whose login was granted the role service without --topics`,
  ]);
}

/** The restrictions of all logins, by login. */
export async function listRestrictions(session: SqlSession): Promise<AclEntry[]> {
  const rows = await session.run(listAcl);
  return rows.map((row) => ({ ...row, action: row.action as AclEntry['action'] }));
}
