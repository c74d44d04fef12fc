import type { HoldUp, Place } from './hold-up.js';
import { withoutLiterals } from './statement-text.js';
import { ageText } from './words.js';

/** A row of `open-transactions`. */
export interface OpenTransaction {
  readonly pid: number;
  readonly login: string | null;
  readonly applicationName: string | null;
  readonly backendType: string | null;
  readonly state: string | null;
  readonly ageMs: number | null;
  readonly xidAge: number | null;
  readonly query: string | null;
  readonly isVisible: boolean;
  readonly locks: readonly string[];
}

/** A row of `blocked-sessions`. */
export interface BlockedSession {
  readonly pid: number;
  readonly login: string | null;
  readonly applicationName: string | null;
  readonly waitingMs: number | null;
  readonly lockType: string;
  readonly mode: string;
  readonly relation: string | null;
  readonly blockedBy: readonly number[];
}

/** When a transaction is reported. */
export interface AgeLimits {
  /** A younger one is not, unless it blocks others. */
  readonly worthMs: number;
  /** An older one is stuck. */
  readonly transactionAgeMs: number;
}

/** A wait for a lock for longer than this does not end by itself soon. */
const BLOCKED_MS = 30_000;
/** A lock that keeps others from a table is reported earlier than a transaction. */
const LOCKED_MS = 1_000;
/** Modes that keep others from reading or writing a table. */
const STRONG = / (?:Share|ShareRowExclusive|Exclusive|AccessExclusive)Lock$/;
/** Age in transactions at which a session whose start is hidden is worth a word. */
const WORTH_XIDS = 1_000;

/** A session with an open transaction, or that others wait for; undefined if it is not worth a word. */
export function sessionHoldUp(
  session: OpenTransaction,
  blocked: readonly BlockedSession[],
  place: Place,
  { worthMs, transactionAgeMs }: AgeLimits,
): HoldUp | undefined {
  const { pid, login, applicationName, state, ageMs, xidAge, locks, isVisible } = session;
  const waiting = blocked.filter(({ blockedBy }) => blockedBy.includes(pid));
  const isLocking = locks.some((lock) => STRONG.test(lock)) && (ageMs ?? LOCKED_MS) >= LOCKED_MS;
  const isOld = ageMs === null ? (xidAge ?? 0) >= WORTH_XIDS || locks.length > 0 : ageMs >= worthMs;
  if (!isOld && waiting.length === 0 && !isLocking) return undefined;
  const isStuck =
    (ageMs ?? 0) > transactionAgeMs || waiting.some(({ waitingMs }) => (waitingMs ?? 0) > BLOCKED_MS);
  return {
    kind: 'transaction',
    where: place,
    state: isStuck ? 'stuck' : 'waiting',
    pid,
    login,
    application: applicationName,
    sessionState: state,
    ageMs,
    xidAge,
    query: isVisible && session.query !== null ? withoutLiterals(session.query) : null,
    locks,
    blocks: waiting.map((one) => one.pid),
    text: describe(session, waiting),
    advice: adviceFor(session),
  };
}

function describe(session: OpenTransaction, waiting: readonly BlockedSession[]): string {
  const { pid, login, applicationName, backendType, state, ageMs, xidAge, locks, isVisible } = session;
  const parts = [`${nameOf({ pid, login, applicationName })}${state === null ? '' : `, ${state}`}`];
  if (ageMs !== null) parts.push(`transaction open for ${ageText(ageMs)}`);
  if (!isVisible) parts.push('since when, and what it does, this login may not see');
  if (xidAge !== null) {
    const since = ageMs === null ? `in the last ${xidAge} transactions` : 'since then';
    parts.push(`rows deleted ${since} cannot be cleaned up`);
  }
  if (locks.length > 0) parts.push(`holds ${locks.join(', ')}`);
  if (locks.some((lock) => lock.startsWith('outbox_s')))
    parts.push('what it publishes waits for its commit, and keeps its slot of the outbox');
  if (waiting.length > 0)
    parts.push(`blocks ${waiting.map(({ pid: blocked }) => `session ${blocked}`).join(', ')}`);
  if (backendType === 'walsender') parts.push('it serves a standby');
  return parts.join('; ');
}

function adviceFor({ pid, backendType }: OpenTransaction): string {
  if (backendType === 'walsender')
    return 'A query on the standby holds it: end it there, or switch hot_standby_feedback off there.';
  return `Commit or roll back in that program, or end it: select pg_terminate_backend(${pid}); and set idle_in_transaction_session_timeout.`;
}

/** A session that waits for a lock. */
export function blockedHoldUp(session: BlockedSession, place: Place): HoldUp {
  const { pid, login, applicationName, waitingMs, lockType, mode, relation, blockedBy } = session;
  const wanted = relation === null ? `a lock (${lockType}, ${mode})` : `${relation} (${mode})`;
  const since = waitingMs === null ? '' : ` for ${ageText(waitingMs)}`;
  const blockers = blockedBy.map((blocker) =>
    blocker === 0 ? 'a prepared transaction' : `session ${blocker}`,
  );
  return {
    kind: 'blocked',
    where: place,
    state: (waitingMs ?? 0) > BLOCKED_MS ? 'stuck' : 'waiting',
    pid,
    login,
    application: applicationName,
    ageMs: waitingMs,
    locks: [],
    blocks: [],
    blockedBy,
    text: `${nameOf(session)} waits${since} for ${wanted}, blocked by ${blockers.length === 0 ? 'a session that has just ended' : blockers.join(', ')}`,
    advice: 'End what it waits for.',
  };
}

function nameOf({
  pid,
  login,
  applicationName,
}: Pick<OpenTransaction, 'pid' | 'login' | 'applicationName'>): string {
  const application = applicationName === null || applicationName === '' ? '' : ` (${applicationName})`;
  return `session ${pid} of ${login ?? 'an unknown login'}${application}`;
}
