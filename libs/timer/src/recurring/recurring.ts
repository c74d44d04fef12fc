import { ConfigurationError, newId, type SqlSession } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { headersTogether } from '@waybill/log/internal';
import { databaseTime, listRecurring, putRecurring, removeRecurring } from '../statements.generated.js';
import { assertRecurrence, type MissedRuns, nextRun, type Recurrence } from './recurrence.js';
import type { TimerAlarm, TimerMessage } from '../timer-message.js';

/** A message that is published repeatedly. */
export interface RecurringDefinition {
  readonly topic: string;
  readonly key?: string | null;
  readonly partition?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The same for each run; the header `run-at` identifies the run. */
  readonly payload: unknown;
  /** Five fields, or six with seconds first. Either this or `everyMs`. */
  readonly cron?: string;
  /** A name of the tz database: the time zone of `cron`. Default UTC. */
  readonly timeZone?: string;
  /** Interval in milliseconds, counted from when it is put. */
  readonly everyMs?: number;
  /**
   * Which runs are made up for that were missed while no process fired timers: `skip`: none; `one`
   * (default): one run for all of them; `all`: each of them. A run counts as missed if it is over a minute late.
   */
  readonly missed?: MissedRuns;
}

/** A recurring message as listed. */
export interface RecurringMessage {
  readonly name: string;
  readonly topic: string;
  readonly partition: number | null;
  readonly key: string | null;
  readonly recurrence: Recurrence;
  readonly missed: MissedRuns;
  /** Null while it is being fired, or if it could not be computed: then put it again. */
  readonly nextRunAt: Date | null;
}

/** Checks and encodes a message, like publishing. */
export type RecurringEncoder = (message: {
  readonly id: string;
  readonly topic: string;
  readonly key: string | null;
  readonly partition?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly payload: unknown;
}) => Pick<TimerMessage, 'topic' | 'partition' | 'key' | 'payload'> & {
  readonly headers: Readonly<Record<string, string>> | null;
  readonly signature: string | null;
};

/** Defines recurring messages, with a cron expression in a time zone or an interval. */
export class Recurring {
  /**
   * @param session in the log's database
   * @param encode checks and encodes the messages: `(message) => outbox.encode(message)`
   */
  constructor(
    private readonly session: SqlSession,
    private readonly encode: RecurringEncoder,
    private readonly alarm?: TimerAlarm,
  ) {}

  /**
   * Defines a recurring message, or changes it. To be called at every start of an application: only a changed schedule
   * moves the next run, and a run that is already due is still made, with the current definition.
   *
   * @param name up to 249 characters of `A-Z a-z 0-9 . _ -`; the ids of the messages follow from it and the time of the
   *   run
   * @returns whether anything has changed
   * @throws ConfigurationError, TopicUnknownError, MessageInvalidError and other errors of publishing
   */
  async put(name: string, definition: RecurringDefinition): Promise<boolean> {
    const { key = null, headers, partition, missed = 'one', payload, topic } = definition;
    const recurrence = recurrenceOf(name, definition);
    if (!['skip', 'one', 'all'].includes(missed)) {
      throw unusable(name, `missed must be one of skip, one, all, got ${show(missed)}`);
    }
    const encoded = this.encode({
      id: newId(),
      topic,
      key,
      payload,
      ...(headers === undefined ? {} : { headers }),
      ...(partition === undefined ? {} : { partition }),
    });
    const [time] = await this.session.run(databaseTime);
    const nowMs = time?.nowMs ?? 0;
    assertRecurrence(name, recurrence, nowMs);
    const byCron = 'cron' in recurrence;
    const [row] = await this.session.run(
      putRecurring,
      name,
      topic,
      encoded.partition,
      encoded.key,
      headersTogether({
        headers: encoded.headers && JSON.stringify(encoded.headers),
        signature: encoded.signature,
      }),
      encoded.payload,
      byCron ? recurrence.cron : null,
      byCron ? recurrence.timeZone : null,
      byCron ? null : recurrence.everyMs,
      missed,
      nextRun(recurrence, nowMs),
    );
    if (row?.dueMs !== undefined && row.dueMs !== null) this.alarm?.armed([row.dueMs]);
    return row?.changed ?? false;
  }

  /** Removes a recurring message. A run that is being published is completed. @returns whether it existed */
  async remove(name: string): Promise<boolean> {
    const rows = await this.session.run(removeRecurring, name);
    return rows.length > 0;
  }

  /** All recurring messages, by name. */
  async list(): Promise<RecurringMessage[]> {
    const rows = await this.session.run(listRecurring);
    return rows.map(({ cron, timeZone, everyMs, nextRunMs, missed, ...row }) => ({
      ...row,
      missed: missed as MissedRuns,
      recurrence: cron === null ? { everyMs: everyMs ?? 0 } : { cron, timeZone: timeZone ?? 'UTC' },
      nextRunAt: nextRunMs === null ? null : new Date(nextRunMs),
    }));
  }
}

function recurrenceOf(name: string, { cron, timeZone, everyMs }: RecurringDefinition): Recurrence {
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(name)) {
    throw unusable(name, 'its name must be 1 to 249 characters of A-Z a-z 0-9 . _ -');
  }
  if ((cron === undefined) === (everyMs === undefined))
    throw unusable(name, 'it needs either cron or everyMs');
  if (everyMs === undefined)
    return { cron: cron as string, timeZone: timeZone === undefined ? 'UTC' : timeZone };
  if (timeZone !== undefined) throw unusable(name, 'timeZone belongs to cron, not to everyMs');
  return { everyMs };
}

function unusable(name: string, problem: string): ConfigurationError {
  return new ConfigurationError(`The recurring message ${name} is not usable`, [problem]);
}
