import { LogWentBackError } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PartitionProgress } from '../progress/partition-progress.js';
import type { Ownership } from '../progress/progress-owners.js';
import type { LaneContext } from '../retry/lane-context.js';
import { readChecksumsBefore } from '../statements.generated.js';
import { lastAgreed } from './log-check.js';

/** A group's progress in a partition, stored in an older history of the log than the present one. */
export interface OldProgress {
  readonly partitionId: number;
  readonly ownership: Ownership;
  readonly position: number;
  readonly checksum: number | undefined;
  readonly logEpoch: number;
}

type Context = Pick<LaneContext, 'group' | 'groupId' | 'databases' | 'logger'>;

/**
 * Takes a group over into the present history of a log that an operator has healed. The records that the log had lost come
 * again, at other offsets, so the group goes back to where the two histories part: not behind the cut, which is where the
 * log ended when it was healed, and not behind the highest position at which the log still holds what the group has read.
 * Others may have appended before the heal, so the cut alone would be too high. For the same reason no verdict on a record
 * above the position is kept: the offset may be another record's now.
 */
export async function rewind(
  context: Context,
  log: Pick<LogEngine, 'checksumsBelow' | 'cutsSince' | 'offsets'>,
  old: readonly OldProgress[],
  logEpoch: number,
): Promise<void> {
  const ids = old.map(({ partitionId }) => partitionId);
  const cuts = await log.cutsSince(ids, Math.min(...old.map((each) => each.logEpoch)));
  const there = await log.checksumsBelow(
    old.map(({ partitionId, position: offset }) => ({ partitionId, offset })),
  );
  const statements = [];
  for (const each of old) {
    const { partitionId, ownership, position, checksum } = each;
    const cut = cuts.get(partitionId) ?? Number.MAX_SAFE_INTEGER;
    const isSame = position <= cut && (checksum === undefined || there.get(partitionId) === checksum);
    const parting = isSame ? position : await partingOf(context, log, each, cut);
    if (parting < position)
      context.logger.warn(`the log had lost records: the group goes back from ${position} to ${parting}`, {
        group: context.group,
        partitionId,
      });
    statements.push(new PartitionProgress(context.groupId, ownership, logEpoch).rewind(parting));
  }
  await context.databases.database.runTogether(statements);
}

/**
 * The highest stored position, not behind the cut, below which the log holds what the group has read; if it is below none of
 * them, where the group began. The cut, if the group has never noted what it read.
 * @throws LogWentBackError when the log differs even from the lowest position that is remembered
 */
async function partingOf(
  { group, groupId, databases }: Context,
  log: Pick<LogEngine, 'checksumsBelow' | 'offsets'>,
  { partitionId, position, logEpoch }: OldProgress,
  cut: number,
): Promise<number> {
  const places = await databases.database.session.run(readChecksumsBefore, groupId, partitionId, logEpoch);
  const noted = places.flatMap(({ position: at, checksum }) =>
    checksum === null ? [] : [{ position: at, checksum }],
  );
  if (noted.length === 0) return Math.min(cut, position);
  const before = noted.filter((place) => place.position <= Math.min(cut, position));
  const agreed = await lastAgreed(log, partitionId, before);
  if (agreed !== undefined) return agreed;
  const [lowest] = places;
  if (lowest?.checksum === null && lowest.position <= cut) return lowest.position;
  throw new LogWentBackError(
    `The log differs from all that group ${group} remembers of partition ${partitionId}, from offset ${lowest?.position ?? 0} on`,
  );
}
