import { readOwnEpochs } from '@waybill/consumer/internal';
import type { PgDatabase } from '@waybill/kernel';
import { readTaken } from '@waybill/log/postgres/internal';

/** A partition that was taken more often than the service's database knows. */
export interface PartitionBehind {
  readonly partitionId: number;
  readonly topic: string;
  readonly number: number;
  readonly takenEpoch: number;
  readonly ownerEpoch: number;
}

/** The partitions of a group of which the log knows a higher owner epoch than the service's database. */
export async function partitionsBehind(
  database: PgDatabase,
  bus: PgDatabase,
  group: string,
): Promise<PartitionBehind[]> {
  // The log is asked first: what was told to it before is in the service's database by now.
  const taken = await bus.session.run(readTaken, group);
  const own = await database.session.run(readOwnEpochs, group);
  const epochs = new Map(own.map(({ partitionId, ownerEpoch }) => [partitionId, ownerEpoch]));
  return taken
    .map((row) => ({ ...row, ownerEpoch: epochs.get(row.partitionId) ?? 0 }))
    .filter(({ takenEpoch, ownerEpoch }) => ownerEpoch < takenEpoch);
}
