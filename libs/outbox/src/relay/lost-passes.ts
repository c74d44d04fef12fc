import type { SqlSession } from '@waybill/kernel';
import { countKept, relayNewest } from '../statements.generated.js';

/** What the log has lost of a service, and the service's outbox does not keep any more: nothing can append it again. */
export interface LostPasses {
  /** The first and the last pass that cannot be appended again as it was. */
  readonly from: number;
  readonly to: number;
  /** Rows of them that are gone, as far as the passes are remembered; those of timers, which took effect, are among them. */
  readonly rows: number;
  /** When the first and the last of them were made, as far as they are remembered. */
  readonly since: Date | undefined;
  readonly until: Date | undefined;
}

/**
 * Finds the passes after a log's newest one that the outbox cannot bring any more, because it has emptied slots since the log
 * had answered for them.
 * @param session of the service's database
 * @returns undefined if there is none
 */
export async function lostPasses(session: SqlSession, logN: number): Promise<LostPasses | undefined> {
  const [newest] = await session.run(relayNewest);
  const remembered = new Map((await session.run(countKept, logN)).map((row) => [row.n, row]));
  const lost: number[] = [];
  for (let n = logN + 1; n <= (newest?.n ?? 0); n += 1) {
    const pass = remembered.get(n);
    if (pass === undefined || pass.kept < pass.rowCount) lost.push(n);
  }
  const [from, to] = [lost.at(0), lost.at(-1)];
  if (from === undefined || to === undefined) return undefined;
  const known = lost.flatMap((n) => remembered.get(n) ?? []);
  return {
    from,
    to,
    rows: known.reduce((sum, { rowCount, kept }) => sum + rowCount - kept, 0),
    since: known.at(0)?.madeAt,
    until: known.at(-1)?.madeAt,
  };
}
