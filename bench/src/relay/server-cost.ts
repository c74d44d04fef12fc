import { readdirSync, readFileSync } from 'node:fs';
import type { PgDatabase } from '@waybill/kernel';

/** Clock ticks per second in /proc (USER_HZ, 100 on every Linux that Node runs on). */
const TICKS_PER_SECOND = 100;

/**
 * CPU time that servers have used since they started, in milliseconds; NaN where there is no /proc, or the server is not
 * on this machine.
 * @param pids their postmasters
 */
export function cpuMsOf(pids: readonly (number | undefined)[]): number {
  let ticks = 0;
  const stats = statsOfAll();
  for (const pid of pids) {
    const postmaster = pid === undefined ? undefined : stats.get(pid);
    if (postmaster === undefined) return Number.NaN;
    // Sessions that have ended are counted by their postmaster, those that have not by themselves.
    ticks += postmaster.own + postmaster.ended;
    for (const { parent, own, ended } of stats.values()) if (parent === pid) ticks += own + ended;
  }
  return (ticks * 1_000) / TICKS_PER_SECOND;
}

/** CPU time that a process has used since it started, in milliseconds; NaN as for {@link cpuMsOf}. */
export function cpuMsOfProcess(pid: number): number {
  const stat = statOf(pid);
  return stat === undefined ? Number.NaN : (stat.own * 1_000) / TICKS_PER_SECOND;
}

interface ProcessStat {
  readonly parent: number;
  /** Ticks in user and system mode. */
  readonly own: number;
  /** Those of its children that have ended. */
  readonly ended: number;
}

function statsOfAll(): ReadonlyMap<number, ProcessStat> {
  const stats = new Map<number, ProcessStat>();
  for (const pid of processIds()) {
    const stat = statOf(pid);
    if (stat !== undefined) stats.set(pid, stat);
  }
  return stats;
}

function processIds(): readonly number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

function statOf(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
  // The name, in brackets, may hold anything. After it: state, parent (field 4 of proc(5)), ..., utime (14) and on.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [utime = 0, stime = 0, endedUtime = 0, endedStime = 0] = fields.slice(11, 15);
  return { parent: fields[1] ?? 0, own: utime + stime, ended: endedUtime + endedStime };
}

/** Bytes of WAL that a server has written since it was initialised. */
export async function walBytesOf(database: PgDatabase): Promise<number> {
  const { rows } = await database.pool.query<{ bytes: number }>(
    `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes`,
  );
  return rows[0]?.bytes ?? Number.NaN;
}
