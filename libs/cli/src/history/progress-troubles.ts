import { differencesFrom, readAllPositions } from '@waybill/consumer/internal';
import type { PgDatabase } from '@waybill/kernel';
import { isRightMissing } from '@waybill/kernel/internal';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { ownership } from '@waybill/log/postgres/internal';
import { partitionsBehind } from '../log/partitions-behind.js';
import type { Trouble } from './hand-over-troubles.js';

/**
 * What the members of a service's groups would find when they take their partitions: that the log holds something else than
 * what they have read, or that another database than this one knows their progress.
 */
export async function progressTroubles(
  database: PgDatabase,
  bus: PgDatabase,
  serviceId: string,
): Promise<readonly Trouble[]> {
  const log = new PostgresLogEngine(bus, { service: null });
  const { logEpoch } = await log.identity();
  // Before the log is: what a group has read by then, the log holds.
  const stored = await database.session.run(readAllPositions);
  await log.topics.list();
  const taken = await bus.session.run(ownership, serviceId);
  const comparable = { topics: log.topics, checksumsBelow: checksumsFrom(log) };
  const troubles: Trouble[] = [];
  for (const group of new Set([...stored, ...taken].map(({ groupName }) => groupName))) {
    // Positions of an older epoch are put right when their partitions are opened.
    const places = stored
      .filter((row) => row.groupName === group && row.logEpoch >= logEpoch)
      .map(({ partitionId, position: offset, checksum }) => ({
        partitionId,
        offset,
        checksum: checksum ?? undefined,
      }));
    const offsets = await log.offsets(places.map(({ partitionId }) => partitionId));
    const [difference] = (await differencesFrom(comparable, group, places, offsets)).values();
    if (difference !== undefined)
      troubles.push({
        text: difference.message,
        advice: 'See "The bus went back" in docs/OPERATIONS.md: waybill bus heal.',
      });
    const behind = await partitionsBehind(database, bus, group);
    if (behind.length > 0)
      troubles.push({
        text: `group ${group} has taken ${behind.length} partitions more often than this database knows: it was restored, has lost a tail, or is another one`,
        advice: `Correct the database's address, or see "The service went back" in docs/OPERATIONS.md: waybill group adopt ${group}.`,
      });
  }
  return troubles;
}

/** A login that may not read payloads, such as a monitor, compares where the log ends, and nothing else. */
function checksumsFrom(log: LogEngine): LogEngine['checksumsBelow'] {
  return async (positions) => {
    try {
      return await log.checksumsBelow(positions);
    } catch (error) {
      if (!isRightMissing(error)) throw error;
      return new Map();
    }
  };
}
