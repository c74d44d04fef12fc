import type { PgDatabase } from '@waybill/kernel';
import { schemaOf } from '@waybill/schema';
import {
  blockedSessions,
  openTransactions,
  preparedTransactions,
  replicationSlots,
  sessionRights,
} from '../statements.generated.js';
import { look } from './look.js';
import {
  type BlockedSession,
  blockedHoldUp,
  type OpenTransaction,
  sessionHoldUp,
} from './session-hold-ups.js';
import type { HoldUp, Place } from './hold-up.js';
import { ageText, bytesText } from './words.js';

/** What holds things up in one database. */
export interface HoldUps {
  readonly place: Place;
  readonly login: string;
  /** Whether this login sees what the sessions of others do, and since when. */
  readonly seesAllSessions: boolean;
  readonly found: readonly HoldUp[];
}

/** Maximum number of sessions and prepared transactions that are read. */
const MOST = 200;
/** Younger transactions are not worth a word, unless they block others. */
const WORTH_MS = 10_000;
const LOST_WAL: ReadonlySet<string> = new Set(['unreserved', 'lost']);

/**
 * Asks the server what holds up Waybill in a database: open and prepared transactions, locks, blocked sessions,
 * replication slots.
 * @param transactionAgeMs a transaction that is open for longer is stuck
 */
export async function readHoldUps(
  database: PgDatabase,
  place: Place,
  transactionAgeMs: number,
): Promise<HoldUps> {
  const schemas = [schemaOf(database.schema, 'service'), schemaOf(database.schema, 'bus')] as const;
  const { rights, blocked, sessions, prepared, slots } = await look(database, async (session) => {
    const waiting: BlockedSession[] = await session.run(blockedSessions, MOST);
    const blockers = [...new Set(waiting.flatMap(({ blockedBy }) => blockedBy))];
    return {
      blocked: waiting,
      sessions: (await session.run(openTransactions, ...schemas, blockers, MOST)) as OpenTransaction[],
      prepared: await session.run(preparedTransactions, ...schemas, MOST),
      slots: await session.run(replicationSlots),
      rights: (await session.run(sessionRights))[0],
    };
  });
  const limits = { worthMs: Math.min(WORTH_MS, transactionAgeMs), transactionAgeMs };
  const found = [
    ...sessions.flatMap((one) => sessionHoldUp(one, blocked, place, limits) ?? []),
    ...prepared.flatMap((one) => preparedHoldUp(one, blocked, place, limits) ?? []),
    ...blocked.map((one) => blockedHoldUp(one, place)),
    ...slots.map((one) => slotHoldUp(one, place)),
  ];
  return { place, login: rights?.login ?? '', seesAllSessions: rights?.seesAll ?? false, found };
}

interface PreparedTransaction {
  readonly gid: string;
  readonly owner: string;
  readonly ageMs: number;
  readonly locks: readonly string[];
}

function preparedHoldUp(
  { gid, owner, ageMs, locks }: PreparedTransaction,
  blocked: readonly BlockedSession[],
  place: Place,
  { worthMs, transactionAgeMs }: { readonly worthMs: number; readonly transactionAgeMs: number },
): HoldUp | undefined {
  // The server names no prepared transaction that others wait for: it can be any of them.
  const blocks = blocked.filter(({ blockedBy }) => blockedBy.includes(0)).map(({ pid }) => pid);
  if (ageMs < worthMs && blocks.length === 0) return undefined;
  const holds = locks.length === 0 ? '' : `; it holds ${locks.join(', ')}`;
  return {
    kind: 'prepared',
    where: place,
    state: ageMs > transactionAgeMs ? 'stuck' : 'waiting',
    name: gid,
    login: owner,
    ageMs,
    locks,
    blocks,
    text: `prepared transaction ${quoteText(gid)} of ${owner}, for ${ageText(ageMs)}: rows deleted since then cannot be cleaned up${holds}`,
    advice: `End it, in this database: rollback prepared ${quoteText(gid)}; or, if its coordinator has decided so, commit prepared.`,
  };
}

interface ReplicationSlot {
  readonly name: string;
  readonly kind: string;
  readonly isActive: boolean;
  readonly xidAge: number | null;
  readonly retainedBytes: number | null;
  readonly walStatus: string | null;
  readonly unusedMs: number | null;
}

function slotHoldUp(slot: ReplicationSlot, place: Place): HoldUp {
  const { name, kind, isActive, xidAge, retainedBytes, walStatus, unusedMs } = slot;
  const use = isActive ? 'in use' : `not in use${unusedMs === null ? '' : ` for ${ageText(unusedMs)}`}`;
  const rows =
    xidAge === null ? '' : `; rows deleted in the last ${xidAge} transactions cannot be cleaned up`;
  const wal = retainedBytes === null ? '' : `; it keeps ${bytesText(Math.max(0, retainedBytes))} of WAL`;
  return {
    kind: 'slot',
    where: place,
    state: LOST_WAL.has(walStatus ?? '') ? 'stuck' : 'waiting',
    name,
    ageMs: unusedMs,
    xidAge,
    retainedBytes,
    locks: [],
    blocks: [],
    text: `${kind} replication slot ${name}, ${use}${rows}${wal}`,
    advice: isActive
      ? 'Its reader holds back the clean-up: look at the standby, or at hot_standby_feedback there.'
      : `Start its reader; or, if it has no reader any more: select pg_drop_replication_slot(${quoteText(name)});`,
  };
}

function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
