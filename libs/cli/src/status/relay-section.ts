import type { PgDatabase } from '@waybill/kernel';
import { askSource } from '@waybill/log/postgres/internal';
import { outboxBacklog } from '@waybill/outbox';
import {
  outboxBacklogs,
  type QuarantineBacklog,
  quarantineBacklogs,
  relayState,
  type TopicBacklog,
} from '@waybill/outbox/internal';
import { disagreements, FOREIGN_PASSES, type PassInLog } from '../history/hand-over-troubles.js';
import type { BusFigures, ServiceFigures } from './identity-sections.js';
import { look } from './look.js';
import { type Note, type Section, sectionOf } from './section.js';
import { ageText, countText } from './words.js';

export interface RelayFigures {
  /** The number of the newest pass, and how long ago it was made. */
  readonly newestPass: number;
  readonly newestPassAgeMs: number;
  /** The newest pass that the service has written down as answered. */
  readonly confirmedPass: number;
  /** The newest pass that the log holds; null if the bus could not be asked. */
  readonly passInLog: number | null;
  /** Passes of which it is not known that the log holds them. */
  readonly unansweredPasses: number;
  /** Whether a large backlog is being moved in windows. */
  readonly isInWindows: boolean;
  /** Committed messages that have not been moved; counted up to 100,000. */
  readonly waiting: number;
  readonly oldestWaitingMs: number | null;
  /** The largest of them by topic and login. */
  readonly backlogs: readonly TopicBacklog[];
  readonly quarantined: readonly QuarantineBacklog[];
}

/** A message that waits for longer than this is not being moved, or not fast enough. */
const OLD_MS = 30_000;
/** Maximum number of topics that are named. */
const SHOWN = 5;

/** The relay: passes, and messages that wait for it. @param bus null if it cannot be reached */
export async function relaySection(
  database: PgDatabase,
  bus: PgDatabase | null,
  service: ServiceFigures,
  busFigures: BusFigures | null,
): Promise<Section<RelayFigures>> {
  // In this order: the service's numbers only grow, and the log's never pass them.
  const [before] = await look(database, (session) => session.run(relayState, 0));
  const inLog = bus === null ? null : await readInLog(bus, service.serviceId);
  const { state, ...rest } = await look(database, async (session) => ({
    state: (await session.run(relayState, inLog?.n ?? 0))[0],
    ...(await outboxBacklog(session)),
    backlogs: await outboxBacklogs(session, SHOWN),
    quarantined: await session.run(quarantineBacklogs, SHOWN),
  }));
  if (state === undefined || before === undefined)
    return sectionOf<RelayFigures>(
      'relay',
      '',
      [{ state: 'stuck', text: 'its ring of passes is empty' }],
      null,
    );
  const { waiting, oldestAgeMs, backlogs, quarantined } = rest;
  const figures: RelayFigures = {
    newestPass: state.n,
    newestPassAgeMs: state.madeAgeMs,
    confirmedPass: state.confirmedN,
    passInLog: inLog?.n ?? null,
    unansweredPasses: Math.max(0, state.n - Math.max(state.confirmedN, inLog?.n ?? 0)),
    isInWindows: state.inWindows,
    waiting,
    oldestWaitingMs: oldestAgeMs,
    backlogs,
    quarantined,
  };
  const isHealing = busFigures !== null && (service.logEpoch ?? busFigures.logEpoch) < busFigures.logEpoch;
  const { confirmedN } = before;
  const troubles = [
    ...(state.isOfThisCluster ? [] : [FOREIGN_PASSES]),
    ...(inLog === null || isHealing
      ? []
      : disagreements(inLog, { confirmedN, newestN: state.n, known: state.tokensOfN })),
  ];
  const notes = troubles.map((trouble): Note => ({ state: 'stuck', ...trouble }));
  return sectionOf('relay', passText(figures), [...notes, ...backlogNotes(figures)], figures);
}

async function readInLog(bus: PgDatabase, serviceId: string): Promise<PassInLog> {
  const [row] = await look(bus, (session) => session.run(askSource, serviceId));
  return { n: row?.n ?? 0, token: row?.token ?? null };
}

function passText({
  newestPass: n,
  newestPassAgeMs,
  passInLog,
  confirmedPass,
  isInWindows,
}: RelayFigures): string {
  const inLog = passInLog === null ? `up to ${confirmedPass} answered` : `the log holds ${passInLog}`;
  const windows = isInWindows ? ', a large backlog is moved in windows' : '';
  return `newest pass ${n}, made ${ageText(newestPassAgeMs)} ago; ${inLog}${windows}`;
}

function backlogNotes({
  waiting,
  oldestWaitingMs,
  backlogs,
  quarantined,
  unansweredPasses,
}: RelayFigures): Note[] {
  const notes: Note[] = [];
  const age = oldestWaitingMs ?? 0;
  if (unansweredPasses > 0)
    notes.push({
      state: 'waiting',
      text: `the bus has not answered for ${unansweredPasses === 1 ? 'the newest pass' : `the ${unansweredPasses} newest passes`}`,
    });
  if (waiting > 0)
    notes.push({
      state: age > OLD_MS ? 'stuck' : 'waiting',
      text: `${countText(waiting, 'message')} waiting, the oldest for ${ageText(age)}`,
      ...(age > OLD_MS && {
        advice:
          'Make sure that a relay runs. If one does, more is published than it moves: see waybill outbox backlog.',
      }),
    });
  const refused = [...new Set(backlogs.flatMap(({ topic, full }) => (full === null ? [] : [topic])))];
  if (refused.length > 0)
    notes.push({
      state: 'stuck',
      text: `new messages to ${refused.join(', ')} are refused`,
      advice: 'They are accepted again when the relay has moved enough of those that wait.',
    });
  const aside = quarantined.reduce((sum, { messages }) => sum + messages, 0);
  if (aside > 0)
    notes.push({
      state: 'stuck',
      text: `${countText(aside, 'message')} in quarantine (${quarantined.map(({ code }) => code).join(', ')}), the oldest for ${ageText(Math.max(...quarantined.map(({ oldestAgeMs }) => oldestAgeMs)))}`,
      advice: 'Fix the cause; then redrive or discard them: waybill outbox quarantine list.',
    });
  return notes;
}
