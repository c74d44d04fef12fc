import { type PgConnection, type PgDatabase, systemClock } from '@waybill/kernel';
import { blockingSessions, ownPid } from './statements.generated.js';

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
 * Runs `work`, and observes from a second connection what its session waits for meanwhile.
 * @returns what `work` last waited for, if it failed; undefined if it succeeded
 */
export async function whileWatched(
  database: PgDatabase,
  connection: PgConnection,
  work: () => Promise<void>,
): Promise<{ readonly error: unknown; readonly blockers: readonly Blocker[] } | undefined> {
  const [own] = await connection.run(ownPid);
  const stop = new AbortController();
  let blockers: readonly Blocker[] = [];
  const watch = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const seen = await database.session.run(blockingSessions, own?.pid ?? 0);
      if (seen.length > 0) blockers = seen;
      await systemClock.sleep(LOOK_MS, stop.signal);
    }
  };
  // Sessions that cannot be read are not named.
  const watching = watch().catch(() => {});
  try {
    await work();
    return undefined;
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
