import type { PgDatabase } from '@waybill/kernel';
import { groupLag } from '@waybill/log/postgres';
import { listGroups } from '@waybill/log/postgres/internal';
import type { Column } from '../output/table.js';

/** The lag of a group in one partition. */
export interface Lag {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly position: number;
  readonly end: number;
  readonly lag: number;
}

/** The columns of a table of lags. */
export const LAG_COLUMNS: readonly Column<Lag>[] = [
  { head: 'GROUP', of: ({ group }) => group },
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'PARTITION', of: ({ partition }) => partition, align: 'right' },
  { head: 'POSITION', of: ({ position }) => position, align: 'right' },
  { head: 'END', of: ({ end }) => end, align: 'right' },
  { head: 'LAG', of: ({ lag }) => lag, align: 'right' },
];

/** The lag of groups, by partition. @param groups default: all groups */
export async function readLags({ session }: PgDatabase, groups?: readonly string[]): Promise<Lag[]> {
  const names = groups ?? (await session.run(listGroups)).map(({ groupName }) => groupName);
  const lags: Lag[] = [];
  for (const group of names)
    for (const { endOffset: end, ...location } of await groupLag(session, group))
      lags.push({ group, ...location, end });
  return lags;
}

/** The total lag of groups. */
export function totalLag(lags: readonly Lag[]): number {
  return lags.reduce((sum, { lag }) => sum + lag, 0);
}
