import { isId, MessageInvalidError, type SqlSession } from '@waybill/kernel';
import { isTransactionConflict, moment, show } from '@waybill/kernel/internal';
import { assertTopicName } from '@waybill/log/internal';
import {
  cancelTimers,
  findTimer,
  rescheduleTimers,
  scheduleMessage,
  timerStats,
} from './statements.generated.js';
import { LONGEST_DELAY_MS } from './delay-levels.js';
import { targetArrays } from './timer-commands.js';
import type { TimerAlarm, TimerMessage, TimerTarget, TimerTime } from './timer-message.js';

/** A scheduled message for display. */
export interface ScheduledMessage {
  readonly id: string;
  readonly topic: string;
  readonly partition: number | null;
  readonly key: string | null;
  readonly token: string | null;
  readonly dueAt: Date;
  readonly createdAt: Date;
}

/** Figures of pending timers, by the database's clock. Counts go up to 100,000. */
export interface TimerStats {
  readonly pending: number;
  readonly due: number;
  /** The number due for more than a second. */
  readonly overdue: number;
  /** How long the oldest has been due, in milliseconds; 0 if none is. */
  readonly oldestOverdueMs: number;
  /** The number due in more than about six hours. */
  readonly far: number;
  /** The number of recurring messages. */
  readonly recurring: number;
}

/** Later than this counts as overdue, in milliseconds. */
const OVERDUE_MS = 1_000;
/** Attempts at a change that meets a timer being moved between two slots. */
const CHANGE_ATTEMPTS = 10;

/**
 * Schedules messages, and cancels, moves and shows scheduled ones. A timer is a row in the database of the
 * log; whichever deletes it first, a cancel or its firing, wins.
 */
export class Timers {
  /**
   * @param session for calls without a session: each runs in a separate transaction
   * @param alarm called with scheduled timers; without one they are found by polling
   */
  constructor(
    private readonly session: SqlSession,
    private readonly alarm?: TimerAlarm,
  ) {}

  /**
   * Schedules a message directly, without an outbox: in the transaction of `session`, which must be in the log's
   * database.
   * @returns when it is due
   * @throws TopicUnknownError, TopicNameInvalidError, MessageInvalidError
   */
  async schedule(message: TimerMessage, time: TimerTime, session = this.session): Promise<Date> {
    const { id, token, topic, partition, key, headers, payload } = message;
    assertTopicName(topic);
    const refuse = refusal(id, topic);
    if (!isId(id)) refuse('its id is not a UUID');
    const { dueMs, delayMs } = checkTime(time, refuse);
    const [row] = await session.run(
      scheduleMessage,
      id,
      token,
      topic,
      partition,
      key,
      headers,
      payload,
      dueMs,
      delayMs,
    );
    const due = row?.dueMs ?? 0;
    this.alarm?.armed([due]);
    return new Date(due);
  }

  /**
   * Cancels scheduled messages that have not been fired. In a separate transaction a conflict with other changes is
   * retried; in that of `session` it is thrown.
   * @returns how many were cancelled: those never fire. Messages still in the outbox are not found; see
   *   Outbox.cancelTimer
   * @throws TransactionConflictError
   */
  async cancel(target: TimerTarget, session = this.session): Promise<number> {
    const { ids, tokens } = checkedTarget(target);
    const [row] = await this.#change(session, () => session.run(cancelTimers, ids, tokens, null));
    return row?.cancelled ?? 0;
  }

  /**
   * Moves scheduled messages that have not been fired to another time. Conflicts as in {@link cancel}.
   * @returns how many were moved
   * @throws TransactionConflictError, MessageInvalidError
   */
  async reschedule(target: TimerTarget, time: TimerTime, session = this.session): Promise<number> {
    const { ids, tokens } = checkedTarget(target);
    const { dueMs, delayMs } = checkTime(time, refusal(ids[0] ?? '(by token)', '(scheduled)'));
    const [row] = await this.#change(session, () =>
      session.run(rescheduleTimers, ids, tokens, dueMs, delayMs, null),
    );
    if (row === undefined || row.moved === 0) return 0;
    this.alarm?.armed([row.dueMs]);
    return row.moved;
  }

  /** The scheduled message with this id; undefined if there is none, or it has been fired or not relayed yet. */
  async get(id: string): Promise<ScheduledMessage | undefined> {
    if (!isId(id)) return undefined;
    const [row] = await this.session.run(findTimer, id);
    return row;
  }

  async stats(): Promise<TimerStats> {
    const [row] = await this.session.run(timerStats, OVERDUE_MS);
    return row ?? { pending: 0, due: 0, overdue: 0, oldestOverdueMs: 0, far: 0, recurring: 0 };
  }

  async #change<T>(session: SqlSession, change: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await change();
      } catch (error) {
        // The caller's transaction has failed with the statement: only the caller can begin it again.
        if (session !== this.session || !isTransactionConflict(error) || attempt === CHANGE_ATTEMPTS)
          throw error;
      }
    }
  }
}

function checkedTarget(target: TimerTarget): { ids: string[]; tokens: string[] } {
  const { id, token } = (target ?? {}) as { readonly id?: unknown; readonly token?: unknown };
  if (id === undefined && typeof token !== 'string')
    refusal('(to be changed)', '(scheduled)')('it must be named by an id or a token');
  if (id !== undefined && !isId(id as string)) refusal(show(id), '(scheduled)')('its id is not a UUID');
  return targetArrays(target);
}

function checkTime(
  time: TimerTime,
  refuse: (problem: string) => never,
): { dueMs: number | null; delayMs: number | null } {
  const { dueAt, delayMs = NaN } = (time ?? {}) as { readonly dueAt?: Date; readonly delayMs?: number };
  if (dueAt !== undefined) {
    const problem = moment().check(dueAt);
    if (problem !== undefined) refuse(`its dueAt ${problem}`);
    return { dueMs: dueAt.getTime(), delayMs: null };
  }
  if (!Number.isSafeInteger(delayMs) || delayMs < 0 || delayMs > LONGEST_DELAY_MS) {
    refuse(
      `its delayMs must be a whole number from 0 to ${LONGEST_DELAY_MS} (100 years), got ${show(delayMs)}`,
    );
  }
  return { dueMs: null, delayMs };
}

function refusal(id: string, topic: string): (problem: string) => never {
  return (problem) => {
    throw new MessageInvalidError(id, topic, problem);
  };
}
