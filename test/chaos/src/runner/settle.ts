import { waitUntil } from '@waybill/testing';
import type { Violation } from '../checkers/evidence.js';
import type { System } from './system.js';
import { type Undone, undone } from './undone.js';

/** How long the server may take to notice that a process has ended, in milliseconds. */
const SESSIONS_MS = 10_000;
/** Sessions of the load, and prepared transactions. */
const LEFT = `
  select format('a session of %s: %s', a.application_name, a.state) as what
    from pg_stat_activity a where split_part(a.application_name, '.', 1) = any ($1)
  union all
  select format('the prepared transaction %s', x.gid) from pg_prepared_xacts x`;

/** Stops the producers, and waits until everything is handled; then stops the rest. What does not is a violation. */
export async function settle(
  system: System,
  drainMs: number,
  print: (line: string) => void,
): Promise<{ problems: Violation[]; stuck: number }> {
  const violations: Violation[] = [];
  const stop = async (prefix: string): Promise<void> => {
    for (const one of system.processes.filter(({ name }) => name.startsWith(prefix)))
      await one.stop().catch((error: unknown) => {
        violations.push({ rule: 'a process stops when it is asked to', what: String(error) });
      });
  };
  await stop('producer');
  // These stop producing, and continue what is open.
  for (const one of system.processes) if (/^(halves|sagas)/.test(one.name)) one.signal('SIGHUP');
  const left = await whatIsLeft(system, drainMs);
  print(left.total === 0 ? 'everything is handled' : `left: ${left.what}`);
  if (left.total > 0)
    violations.push({
      rule: 'everything is handled in the end',
      what: `when the time was up, these were left: ${left.what}`,
    });
  for (const { deaths } of system.processes)
    for (const what of deaths) violations.push({ rule: 'no process ends by itself', what });
  await stop('halves');
  await stop('sagas');
  await stop('timers');
  await stop('consumer');
  await stop('relay');
  violations.push(...(await leftRunning(system)));
  return { problems: violations, stuck: left.total };
}

/** Waits until everything is handled, or the time is up. */
async function whatIsLeft(system: System, drainMs: number): Promise<Undone> {
  let left: Undone | undefined;
  try {
    await waitUntil(async () => (left = await undone(system)).total === 0, {
      describe: 'everything is handled',
      timeoutMs: drainMs,
      intervalMs: 200,
    });
  } catch (error) {
    if (left === undefined) throw error;
  }
  return left as Undone;
}

/** What of the load is still in the server when all its processes have stopped. */
async function leftRunning({ database, bus, processes }: System): Promise<Violation[]> {
  // What a fault holds back in a proxy is not the load's.
  await Promise.all(processes.map((one) => one.closeWays()));
  const names = processes.map(({ name }) => name);
  let left: ReadonlySet<string> | undefined;
  const look = async (): Promise<boolean> => {
    const found = await Promise.all(
      [database, bus].map(({ pool }) => pool.query<{ what: string }>(LEFT, [names])),
    );
    left = new Set(found.flatMap(({ rows }) => rows.map(({ what }) => what)));
    return left.size === 0;
  };
  try {
    await waitUntil(look, {
      describe: 'the server has ended all sessions',
      timeoutMs: SESSIONS_MS,
      intervalMs: 100,
    });
    return [];
  } catch (error) {
    if (left === undefined) throw error;
    return [...left].map((what) => ({ rule: 'nothing is left running', what }));
  }
}
