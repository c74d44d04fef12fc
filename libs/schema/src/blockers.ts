import { type PgDatabase, systemClock } from '@waybill/kernel';
import { blockingSessions } from './statements.generated.js';

/** A session that others wait for. Values that the login may not see are null. */
export interface Blocker {
  readonly pid: number;
  readonly login: string | null;
  readonly applicationName: string | null;
  readonly clientAddress: string | null;
  /** When its transaction began, or when it connected. */
  readonly since: Date | null;
}

const LOOK_MS = 50;
const SHOWN = 5;

/** Describes sessions: who, from where, since when. */
export function describeBlockers(blockers: readonly Blocker[]): string {
  if (blockers.length === 0) return 'a session that could not be seen';
  const more = blockers.length > SHOWN ? ` and ${blockers.length - SHOWN} more` : '';
  return blockers.slice(0, SHOWN).map(describe).join(', ') + more;
}

/**
 * Runs `work`, and observes from a second connection what the session waits for whose pid it passes to `watch`.
 * @returns its result; or why it failed, and what the session last waited for
 */
export async function whileWatched<T>(
  database: PgDatabase,
  work: (watch: (pid: number) => void) => Promise<T>,
): Promise<{ readonly result: T } | { readonly error: unknown; readonly blockers: readonly Blocker[] }> {
  const stop = new AbortController();
  let blockers: readonly Blocker[] = [];
  const observe = async (pid: number): Promise<void> => {
    while (!stop.signal.aborted) {
      const seen = await database.session.run(blockingSessions, pid);
      if (seen.length > 0) blockers = seen;
      await systemClock.sleep(LOOK_MS, stop.signal);
    }
  };
  let watching: Promise<void> | undefined;
  try {
    // Sessions that cannot be read are not named.
    const result = await work((pid) => (watching = observe(pid).catch(() => {})));
    return { result };
  } catch (error) {
    return { error, blockers };
  } finally {
    stop.abort();
    await watching;
  }
}

function describe({ pid, login, applicationName, clientAddress, since }: Blocker): string {
  const application =
    applicationName === null || applicationName === '' ? '' : `, ${JSON.stringify(applicationName)}`;
  const address = clientAddress === null ? '' : ` from ${clientAddress}`;
  const when = since === null ? '' : ` since ${since.toISOString()}`;
  return `session ${pid} of ${login ?? 'an unknown login'}${application}${address}${when}`;
}
