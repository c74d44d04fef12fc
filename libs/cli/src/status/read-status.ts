import { describeError, type PgDatabase } from '@waybill/kernel';
import { isConnectionLoss } from '@waybill/kernel/internal';
import { consumerSection } from './consumer-section.js';
import type { HoldUp, Place } from './hold-up.js';
import { type HoldUps, readHoldUps } from './hold-ups.js';
import {
  areOneDatabase,
  type BusFigures,
  busSection,
  type ServiceFigures,
  serviceSection,
} from './identity-sections.js';
import { relaySection } from './relay-section.js';
import { ringSection } from './ring-section.js';
import { attempt, type Section, type State, unreadable, worst } from './section.js';
import { deadLetterSection, halfSection, parkedSection, sagaSection, timerSection } from './work-sections.js';

/** What to look at. */
export interface StatusTarget {
  readonly database: PgDatabase;
  /** The database of its bus: the same one, or another. */
  readonly bus: PgDatabase;
  /** A transaction that is open for longer is stuck, in milliseconds. */
  readonly transactionAgeMs: number;
}

/** The page. */
export interface Status {
  readonly state: State;
  readonly sections: readonly Section[];
  readonly holdUps: readonly HoldUp[];
  /** What the login may not see. */
  readonly hidden: readonly string[];
}

const SERVICE_DOWN = 'Start it, or correct DATABASE_URL; what waits in it is not known.';
const BUS_DOWN =
  "Start it, or correct WAYBILL_BUS_URL. Meanwhile messages wait in the service's outbox; nothing is lost.";

/** Reads the page. It changes nothing; what cannot be read is said. */
export async function readStatus(target: StatusTarget): Promise<Status> {
  const sections: Section[] = [];
  const holdUps: HoldUps[] = [];
  try {
    await readInto(target, sections, holdUps);
  } catch (error) {
    if (!isConnectionLoss(error)) throw error;
    sections.push(
      unreadable('page', {
        text: `a connection was lost while it was read: ${describeError(error)}`,
        advice: 'Run it again.',
      }),
    );
  }
  const found = holdUps.flatMap((each) => each.found);
  return {
    state: worst([...sections, ...found].map(({ state }) => state)),
    sections,
    holdUps: found,
    hidden: holdUps.flatMap(hiddenFrom),
  };
}

async function readInto(target: StatusTarget, sections: Section[], holdUps: HoldUps[]): Promise<void> {
  const { database, bus } = target;
  const ofService = await reach('service', SERVICE_DOWN, () => serviceSection(database));
  const service = ofService.section.figures;
  const ofBus =
    bus === database && !ofService.isReached
      ? undefined
      : await reach('bus', BUS_DOWN, () => busSection(bus, service));
  const busFigures = ofBus?.section.figures ?? null;
  sections.push(ofService.section, ...(ofBus === undefined ? [] : [ofBus.section]));

  const isShared = bus === database || areOneDatabase(service, busFigures);
  if (ofService.isReached)
    holdUps.push(...(await holdUpsIn(database, isShared ? 'both' : 'service', target)));
  if (!isShared && ofBus?.isReached === true) holdUps.push(...(await holdUpsIn(bus, 'bus', target)));
  if (service !== null) sections.push(...(await sectionsOf(target, service, busFigures, holdUps)));

  async function holdUpsIn(
    where: PgDatabase,
    place: Place,
    { transactionAgeMs }: StatusTarget,
  ): Promise<HoldUps[]> {
    let found: HoldUps[] = [];
    const failed = await attempt('hold-ups', async () => {
      found = [await readHoldUps(where, place, transactionAgeMs)];
      return { section: 'hold-ups', state: 'ok', text: '', figures: null };
    });
    if (failed.state !== 'ok') sections.push(failed);
    return found;
  }
}

/** A section about a database that may be unreachable. */
async function reach<Figures>(
  name: string,
  advice: string,
  read: () => Promise<Section<Figures>>,
): Promise<{ readonly section: Section<Figures>; readonly isReached: boolean }> {
  try {
    return { section: await attempt(name, read), isReached: true };
  } catch (error) {
    const text = `it cannot be reached: ${describeError(error)}`;
    return { section: unreadable(name, { text, advice }), isReached: false };
  }
}

async function sectionsOf(
  { database, bus: given }: StatusTarget,
  service: ServiceFigures,
  busFigures: BusFigures | null,
  holdUps: readonly HoldUps[],
): Promise<Section[]> {
  const bus = busFigures === null ? null : given;
  const relay = await attempt('relay', () => relaySection(database, bus, service, busFigures));
  return [
    relay,
    await attempt('consumers', () => consumerSection(bus, service.serviceId)),
    await attempt('parked', () => parkedSection(database)),
    await attempt('dead letters', () => deadLetterSection(database)),
    await attempt('timers', () => timerSection(database)),
    await attempt('half messages', () => halfSection(database)),
    await attempt('sagas', () => sagaSection(database)),
    await attempt('rings', () => ringSection(database, bus, holdUps, relay.figures)),
  ];
}

function hiddenFrom({ place, login, seesAllSessions }: HoldUps): string[] {
  if (seesAllSessions) return [];
  const where = place === 'both' ? 'service and bus' : place;
  return [
    `${where}: ${login} does not see what sessions of other logins do, and since when; as a superuser: grant pg_read_all_stats to "${login}";`,
  ];
}
