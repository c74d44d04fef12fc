import type { PgDatabase } from '@waybill/kernel';
import { groupBacklogs, ownership } from '@waybill/log/postgres/internal';
import { look } from './look.js';
import { type Note, type Section, sectionOf } from './section.js';
import { ageText, countText } from './words.js';

/** A group of the service on one topic. */
export interface ConsumerFigures {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  /** Partitions without a member whose lease is valid. */
  readonly withoutOwner: number;
  /** Records that are not done, by the positions that members report every few seconds. */
  readonly lag: number;
  /** How many of them are in partitions without an owner. */
  readonly lagWithoutOwner: number;
  /** How long the oldest of them has been in the log; null without one. */
  readonly oldestWaitingMs: number | null;
  /** How long the shortest lease of an owner is still valid; null without an owner. */
  readonly leaseMs: number | null;
  /** How long the position of a partition with a lag has not moved; null if none has one, or it was never reported. */
  readonly unmovedMs: number | null;
}

/** A record that waits for an owner for longer than this is not consumed. */
const UNOWNED_MS = 30_000;
/** A position with a lag that has not moved for longer than this does not move. */
const UNMOVED_MS = 300_000;
const SHOWN = 5;

/** The groups of the service. @param bus null if it cannot be reached */
export async function consumerSection(
  bus: PgDatabase | null,
  serviceId: string,
): Promise<Section<readonly ConsumerFigures[]>> {
  if (bus === null)
    return sectionOf<readonly ConsumerFigures[]>(
      'consumers',
      '',
      [{ state: 'stuck', text: 'what waits is not known: the bus cannot be reached' }],
      null,
    );
  const figures = await look(bus, async (session) => {
    const lags = new Map<string, { readonly lag: number; readonly oldestAgeMs: number | null }>();
    for (const row of await session.run(groupBacklogs)) lags.set(placeOf(row), row);
    const groups = new Map<string, ConsumerFigures>();
    for (const row of await session.run(ownership, serviceId)) {
      const key = JSON.stringify([row.groupName, row.topic]);
      groups.set(key, withPartition(groups.get(key), row, lags.get(placeOf(row))));
    }
    return [...groups.values()];
  });
  const lag = figures.reduce((sum, group) => sum + group.lag, 0);
  const groups = new Set(figures.map(({ group }) => group)).size;
  const text =
    groups === 0
      ? 'no group of this service'
      : `${countText(groups, 'group')}, ${countText(lag, 'record')} waiting`;
  return sectionOf('consumers', text, [...unowned(figures), ...unmoved(figures), ...lagging(lag)], figures);
}

interface Place {
  readonly groupName: string;
  readonly topic: string;
  readonly number: number;
}

function placeOf({ groupName, topic, number }: Place): string {
  return JSON.stringify([groupName, topic, number]);
}

function withPartition(
  before: ConsumerFigures | undefined,
  {
    groupName,
    topic,
    isOwned,
    leaseMs,
    movedAgeMs,
  }: Place & {
    readonly isOwned: boolean;
    readonly leaseMs: number | null;
    readonly movedAgeMs: number | null;
  },
  backlog: { readonly lag: number; readonly oldestAgeMs: number | null } | undefined,
): ConsumerFigures {
  const isHeld = isOwned && leaseMs !== null && leaseMs > 0;
  const lag = backlog?.lag ?? 0;
  return {
    group: groupName,
    topic,
    partitions: (before?.partitions ?? 0) + 1,
    withoutOwner: (before?.withoutOwner ?? 0) + (isHeld ? 0 : 1),
    lag: (before?.lag ?? 0) + lag,
    lagWithoutOwner: (before?.lagWithoutOwner ?? 0) + (isHeld ? 0 : lag),
    oldestWaitingMs: most(before?.oldestWaitingMs, backlog?.oldestAgeMs),
    leaseMs: isHeld ? Math.min(leaseMs, before?.leaseMs ?? leaseMs) : (before?.leaseMs ?? null),
    unmovedMs: most(before?.unmovedMs, isHeld && lag > 0 ? movedAgeMs : null),
  };
}

function most(a: number | null | undefined, b: number | null | undefined): number | null {
  const known = [a, b].filter((value) => typeof value === 'number');
  return known.length === 0 ? null : Math.max(...known);
}

function unowned(figures: readonly ConsumerFigures[]): Note[] {
  const found = figures.filter(({ lagWithoutOwner }) => lagWithoutOwner > 0);
  if (found.length === 0) return [];
  const isStuck = found.some(({ oldestWaitingMs }) => (oldestWaitingMs ?? 0) > UNOWNED_MS);
  const named = found
    .slice(0, SHOWN)
    .map(
      ({ group, topic, withoutOwner, partitions, oldestWaitingMs }) =>
        `${group} consumes ${topic} in ${partitions - withoutOwner} of ${partitions} partitions only, and a record waits for ${ageText(oldestWaitingMs ?? 0)}`,
    );
  return [
    {
      state: isStuck ? 'stuck' : 'waiting',
      text: `${named.join(', ')}${found.length > SHOWN ? ', …' : ''}`,
      ...(isStuck && { advice: 'Start a process of the service that consumes for the group.' }),
    },
  ];
}

function unmoved(figures: readonly ConsumerFigures[]): Note[] {
  return figures
    .filter(({ oldestWaitingMs, unmovedMs }) => Math.min(oldestWaitingMs ?? 0, unmovedMs ?? 0) > UNMOVED_MS)
    .slice(0, SHOWN)
    .map(({ group, topic, unmovedMs }) => ({
      state: 'stuck',
      text: `a partition of ${topic} has an owner for ${group}, and its position has not moved for ${ageText(unmovedMs ?? 0)}`,
      advice:
        "Look for the handler's errors in the log of the process that owns it (waybill groups describe).",
    }));
}

function lagging(lag: number): Note[] {
  return lag > 0 ? [{ state: 'waiting', text: '' }] : [];
}
