import type { PgDatabase } from '@waybill/kernel';
import { parkedBacklogs } from '@waybill/consumer/internal';
import { deadLetterBacklogs } from '@waybill/dead-letter/internal';
import { halfOverdue, halfStats, halfTrouble } from '@waybill/half-message/internal';
import { overdueSagas, sagaStats, stateOf } from '@waybill/saga/internal';
import type { SagaState } from '@waybill/saga';
import { Timers, type TimerStats } from '@waybill/timer';
import { look } from './look.js';
import { type Note, type Section, sectionOf } from './section.js';
import { ageText, countText } from './words.js';

/** Work that was due for longer than this is done by no process. */
const OVERDUE_MS = 30_000;
/** Checks of half messages that have failed for longer than this need a person; health says so too. */
const FAILING_MS = 600_000;

/** Messages of a group and topic that wait. */
export interface MessageBacklog {
  readonly group: string;
  readonly topic: string;
  /** In all backlogs together counted up to 100,000. */
  readonly messages: number;
  readonly oldestMs: number;
}

/** Messages that wait for their next attempt, or for one of their key that does. */
export async function parkedSection(database: PgDatabase): Promise<Section<readonly MessageBacklog[]>> {
  const rows = await look(database, (session) => session.run(parkedBacklogs));
  const figures = rows.map(({ groupName: group, topic, parked: messages, oldestAgeMs: oldestMs }) => ({
    group,
    topic,
    messages,
    oldestMs,
  }));
  const waiting: Note[] = figures.length === 0 ? [] : [{ state: 'waiting', text: '' }];
  return sectionOf('parked', backlogText(figures, 'parked message'), waiting, figures);
}

/** Messages that were given up, and wait for an operator. */
export async function deadLetterSection(database: PgDatabase): Promise<Section<readonly MessageBacklog[]>> {
  const rows = await look(database, (session) => session.run(deadLetterBacklogs));
  const figures = rows.map(({ groupName: group, topic, open: messages, oldestAgeMs: oldestMs }) => ({
    group,
    topic,
    messages,
    oldestMs,
  }));
  const stuck: Note[] =
    figures.length === 0
      ? []
      : [
          {
            state: 'stuck',
            text: '',
            advice: 'Fix the cause; then redrive or discard them: waybill dlq list.',
          },
        ];
  return sectionOf('dead letters', backlogText(figures, 'open dead letter'), stuck, figures);
}

function backlogText(backlogs: readonly MessageBacklog[], noun: string): string {
  const sum = backlogs.reduce((total, { messages }) => total + messages, 0);
  if (sum === 0) return `no ${noun}`;
  const oldest = Math.max(...backlogs.map(({ oldestMs }) => oldestMs));
  return `${countText(sum, noun)}, the oldest for ${ageText(oldest)}`;
}

/** Timers of delayed and recurring messages. */
export async function timerSection(database: PgDatabase): Promise<Section<TimerStats>> {
  const figures = await look(database, (session) => new Timers(session).stats());
  const { pending, overdue, oldestOverdueMs, recurring } = figures;
  const isStuck = oldestOverdueMs > OVERDUE_MS;
  const late: Note[] =
    overdue === 0
      ? []
      : [
          {
            state: isStuck ? 'stuck' : 'waiting',
            text: `${countText(overdue, 'timer')} overdue, the oldest by ${ageText(oldestOverdueMs)}`,
            ...(isStuck && { advice: 'Make sure that a process fires timers (`scheduler` is not false).' }),
          },
        ];
  const text = `${countText(pending, 'pending timer')}, ${countText(recurring, 'recurring message')}`;
  return sectionOf('timers', text, late, figures);
}

export interface HalfFigures {
  /** Counts go up to 100,000. */
  readonly open: number;
  readonly oldestOpenMs: number | null;
  /** Those whose check-back was due for 30 seconds and has not begun. */
  readonly overdue: number;
  readonly oldestOverdueMs: number | null;
  /** Those whose checks fail. */
  readonly failing: number;
  readonly oldestFailingMs: number | null;
  /** Those that wait for an operator. */
  readonly undecided: number;
  readonly oldestUndecidedMs: number | null;
}

/** Half messages that are not decided. */
export async function halfSection(database: PgDatabase): Promise<Section<HalfFigures>> {
  const figures = await look(database, async (session) => {
    const [stats] = await session.run(halfStats);
    const [trouble] = await session.run(halfTrouble);
    const [late] = await session.run(halfOverdue, OVERDUE_MS);
    return {
      open: stats?.open ?? 0,
      oldestOpenMs: stats?.oldestOpenAgeMs ?? null,
      overdue: late?.overdue ?? 0,
      oldestOverdueMs: late?.oldestOverdueMs ?? null,
      failing: trouble?.failing ?? 0,
      oldestFailingMs: trouble?.oldestFailingMs ?? null,
      undecided: stats?.undecided ?? 0,
      oldestUndecidedMs: trouble?.oldestUndecidedAgeMs ?? null,
    };
  });
  const { open, oldestOpenMs } = figures;
  const text =
    open === 0
      ? 'no open half message'
      : `${countText(open, 'open half message')}, the oldest for ${ageText(oldestOpenMs ?? 0)}`;
  return sectionOf('half messages', text, halfNotes(figures), figures);
}

function halfNotes(figures: HalfFigures): Note[] {
  const { open, overdue, oldestOverdueMs, failing, oldestFailingMs, undecided, oldestUndecidedMs } = figures;
  const notes: Note[] = open > 0 ? [{ state: 'waiting', text: '' }] : [];
  if (overdue > 0)
    notes.push({
      state: 'stuck',
      text: `${overdue} overdue for check-back, the oldest by ${ageText(oldestOverdueMs ?? 0)}`,
      advice: 'Make sure that a process of their producer group runs.',
    });
  if (failing > 0)
    notes.push({
      state: (oldestFailingMs ?? 0) > FAILING_MS ? 'stuck' : 'waiting',
      text: `the checks of ${failing} fail, for ${ageText(oldestFailingMs ?? 0)}`,
      advice: "Look for the check's errors in the log of its process.",
    });
  if (undecided > 0)
    notes.push({
      state: 'stuck',
      text: `${undecided} undecided, the oldest for ${ageText(oldestUndecidedMs ?? 0)}`,
      advice: 'Decide about them: waybill half list --state undecided, then half commit or half rollback.',
    });
  return notes;
}

export interface SagaFigures {
  /** Sagas that have not ended, by state; each counted up to 100,000. */
  readonly byState: readonly {
    readonly state: SagaState;
    readonly sagas: number;
    readonly oldestMs: number;
  }[];
  /** Those that were due for 30 seconds and that no process has continued. */
  readonly overdue: number;
  readonly oldestOverdueMs: number | null;
}

/** Sagas that have not ended. */
export async function sagaSection(database: PgDatabase): Promise<Section<SagaFigures>> {
  const figures = await look(database, async (session) => {
    const rows = await session.run(sagaStats, null);
    const [late] = await session.run(overdueSagas, OVERDUE_MS);
    return {
      byState: rows.map((row) => ({ ...row, state: stateOf(row.state) })),
      overdue: late?.overdue ?? 0,
      oldestOverdueMs: late?.oldestOverdueMs ?? null,
    };
  });
  const { byState, overdue, oldestOverdueMs } = figures;
  const underWay = byState.filter(({ state }) => state !== 'STUCK');
  const stuck = byState.find(({ state }) => state === 'STUCK');
  const sum = underWay.reduce((total, { sagas }) => total + sagas, 0);
  const oldest = Math.max(0, ...underWay.map(({ oldestMs }) => oldestMs));
  const text =
    sum === 0
      ? 'no saga under way'
      : `${countText(sum, 'saga')} under way, the oldest for ${ageText(oldest)}`;
  const notes: Note[] = sum > 0 ? [{ state: 'waiting', text: '' }] : [];
  if (overdue > 0)
    notes.push({
      state: 'stuck',
      text: `${overdue} overdue, the oldest by ${ageText(oldestOverdueMs ?? 0)}`,
      advice: 'Make sure that a process with their definitions runs.',
    });
  if (stuck !== undefined)
    notes.push({
      state: 'stuck',
      text: `${countText(stuck.sagas, 'saga')} for an operator, the oldest for ${ageText(stuck.oldestMs)}`,
      advice: 'Decide about them: waybill saga list --state STUCK, then saga retry, skip or compensate.',
    });
  return sectionOf('sagas', text, notes, figures);
}
