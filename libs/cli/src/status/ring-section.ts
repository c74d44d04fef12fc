import type { PgDatabase } from '@waybill/kernel';
import { oldestBucket } from '@waybill/log/postgres/internal';
import { oldestOutboxRow } from '@waybill/outbox/internal';
import { schemaOf, type SchemaPart } from '@waybill/schema';
import { listRings } from '@waybill/schema/internal';
import type { HoldUps } from './hold-ups.js';
import { look } from './look.js';
import type { RelayFigures } from './relay-section.js';
import { type Note, type Section, sectionOf } from './section.js';
import { ageText, bytesText } from './words.js';

export interface RingFigures {
  readonly part: SchemaPart;
  readonly ring: string;
  readonly slots: number;
  readonly emptySlots: number;
  /** On disk, with indexes; without slots that are locked exclusively at this moment. */
  readonly bytes: number;
  /** Slots that are locked exclusively, and were not measured. */
  readonly lockedSlots: number;
  /** What keeps the oldest slot from being emptied; null if nothing does, or it is not known. */
  readonly keptBy: string | null;
}

/** The rings of service and bus. @param bus null if it cannot be reached */
export async function ringSection(
  database: PgDatabase,
  bus: PgDatabase | null,
  holdUps: readonly HoldUps[],
  relay: RelayFigures | null,
): Promise<Section<readonly RingFigures[]>> {
  const ofService = await ringsOf(database, 'service', holdUps, (ring) =>
    ring === 'outbox' ? keepsOutbox(database, relay) : null,
  );
  const ofBus =
    bus === null
      ? { rings: [], notes: [] }
      : await ringsOf(bus, 'bus', holdUps, (ring) => (ring === 'log_batch' ? keepsLog(bus) : null));
  const figures = [...ofService.rings, ...ofBus.rings];
  const notes = [...ofService.notes, ...ofBus.notes];
  const bytes = figures.reduce((sum, ring) => sum + ring.bytes, 0);
  const without = bus === null ? ', without those of the bus, which cannot be reached' : '';
  return sectionOf('rings', `${figures.length} rings of ${bytesText(bytes)}${without}`, notes, figures);
}

interface Rings {
  readonly rings: readonly RingFigures[];
  readonly notes: readonly Note[];
}

async function ringsOf(
  database: PgDatabase,
  part: SchemaPart,
  holdUps: readonly HoldUps[],
  keptBy: (ring: string) => Promise<string | null> | null,
): Promise<Rings> {
  const rows = await look(database, (session) => session.run(listRings, schemaOf(database.schema, part)));
  const open = openSessions(holdUps, part);
  const rings: RingFigures[] = [];
  const notes: Note[] = [];
  for (const { ring, slots, emptySlots, bytes, locked, lockedBy } of rows) {
    const holders = lockedBy.filter((pid) => open.has(pid)).map((pid) => `session ${pid}`);
    const isHeld = holders.length > 0;
    if (isHeld)
      notes.push({
        state: 'waiting',
        text: `a slot of ${ring} cannot be emptied: ${holders.join(', ')} holds a lock on it`,
      });
    const kept = isHeld
      ? `a lock of ${holders.join(', ')}`
      : emptySlots === slots
        ? null
        : await keptBy(ring);
    rings.push({ part, ring, slots, emptySlots, bytes, lockedSlots: locked, keptBy: kept });
  }
  return { rings, notes };
}

/** The sessions that are reported as holding something up in the part's database. */
function openSessions(holdUps: readonly HoldUps[], part: SchemaPart): ReadonlySet<number> {
  return new Set(
    holdUps
      .filter(({ place }) => place === part || place === 'both')
      .flatMap(({ found }) =>
        found.flatMap(({ kind, pid }) => (kind === 'transaction' && pid !== undefined ? [pid] : [])),
      ),
  );
}

async function keepsOutbox(database: PgDatabase, relay: RelayFigures | null): Promise<string | null> {
  const [oldest] = await look(database, (session) => session.run(oldestOutboxRow));
  if (oldest === undefined) return null;
  const age = `(the oldest message: ${ageText(oldest.ageMs)})`;
  if (relay !== null && relay.waiting > 0) return `messages that wait for the relay ${age}`;
  if (relay !== null && relay.unansweredPasses > 0) return `passes that the bus has not answered ${age}`;
  return `the retention of moved messages ${age}`;
}

async function keepsLog(bus: PgDatabase): Promise<string | null> {
  const [bucket] = await look(bus, (session) => session.run(oldestBucket));
  if (bucket === undefined) return null;
  const { oldestAgeMs, longestRetentionMs } = bucket;
  return `the longest retention of a topic, ${ageText(longestRetentionMs)} (the oldest bucket: ${ageText(oldestAgeMs)})`;
}
