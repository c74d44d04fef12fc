import { bindStatement, describeError, type Logger } from '@waybill/kernel';
import { nameBasedId } from '@waybill/kernel/internal';
import type { MessageToCollect } from '@waybill/log';
import { readRecurring, scheduleRuns } from '../statements.generated.js';
import { type DueRuns, dueRuns, MISSED_AFTER_MS, type MissedRuns, type Recurrence } from './recurrence.js';
import { type DueTimer, type FiringPass, TIMER_KIND, type TimerEffect } from '../timer-effect.js';

/** A definition as read for its run. */
interface Definition {
  readonly name: string;
  readonly topic: string;
  readonly partition: number | null;
  readonly key: string | null;
  readonly headers: string | null;
  readonly payload: Buffer | null;
  readonly cron: string | null;
  readonly timeZone: string | null;
  readonly everyMs: number | null;
  readonly missed: string;
  readonly revision: number;
  /** When its schedule was stored. */
  readonly scheduledMs: number;
}

/** The content of a run's timer. */
interface StoredRun {
  readonly revision: number;
  readonly runAtMs: number;
  readonly kept?: boolean;
}

interface NextRun extends Omit<StoredRun, 'kept'> {
  readonly name: string;
}

/** The header of a recurring message with the due time of its run, in ISO 8601. */
export const RUN_AT_HEADER = 'run-at';

/** The most runs of one recurring message per pass; the rest follows immediately. */
const RUNS_AT_ONCE = 1_000;

/** Makes the due runs of recurring messages, and schedules the next ones. */
export class RecurringEffect implements TimerEffect {
  readonly kind = TIMER_KIND.recurring;

  constructor(private readonly logger: Logger) {}

  async fire(timers: readonly DueTimer[], pass: FiringPass): Promise<void> {
    const names = [...new Set(timers.flatMap(({ token }) => token ?? []))];
    const definitions = new Map<string, Definition>();
    for (const row of await pass.session.run(readRecurring, names)) definitions.set(row.name, row);
    const next: NextRun[] = [];
    for (const timer of timers) {
      const definition = definitions.get(timer.token ?? '');
      // Otherwise it has been removed since.
      if (definition === undefined) continue;
      try {
        next.push(...this.#run(timer, definition, pass));
      } catch (error) {
        pass.setAside(timer, error);
      }
    }
    if (next.length === 0) return;
    pass.run(
      bindStatement(
        scheduleRuns,
        next.map(({ name }) => name),
        next.map(({ revision }) => revision),
        next.map(({ runAtMs }) => runAtMs),
      ),
    );
  }

  /** Makes the runs of one timer. @returns the run after them, if this timer represents the future runs */
  #run(timer: DueTimer, definition: Definition, pass: FiringPass): NextRun[] {
    const { revision, runAtMs, kept = false } = JSON.parse(timer.headers ?? '{}') as StoredRun;
    if (definition.revision === revision) {
      const { runs, nextMs } = this.#dueRuns(definition, runAtMs, pass.nowMs);
      for (const run of runs) appendRun(definition, run, timer, pass);
      return nextMs === null ? [] : [{ name: definition.name, revision, runAtMs: nextMs }];
    }
    // Of an earlier schedule. Another timer represents the future runs; a run that was due when the schedule was
    // changed, or was being fired, is still made.
    if ((kept || pass.nowMs <= definition.scheduledMs) && isWanted(definition, runAtMs, pass.nowMs))
      appendRun(definition, runAtMs, timer, pass);
    return [];
  }

  /** The runs to make, and the next one: null if it cannot be computed. */
  #dueRuns(
    definition: Definition,
    runAtMs: number,
    nowMs: number,
  ): Omit<DueRuns, 'nextMs'> & { nextMs: number | null } {
    const { name, missed } = definition;
    try {
      return dueRuns(recurrenceOf(definition), missed as MissedRuns, runAtMs, nowMs, RUNS_AT_ONCE);
    } catch (error) {
      // One definition without a computable run must not block every other timer.
      this.logger.error(
        `recurring message ${name} has no next run, because it cannot be computed: ${describeError(error)}. ` +
          `Put it again with a valid schedule.`,
      );
      return { runs: isWanted(definition, runAtMs, nowMs) ? [runAtMs] : [], nextMs: null };
    }
  }
}

/** Whether a possibly late run is made. */
function isWanted({ missed }: Definition, runAtMs: number, nowMs: number): boolean {
  return missed !== 'skip' || nowMs - runAtMs <= MISSED_AFTER_MS;
}

function recurrenceOf({ cron, timeZone, everyMs }: Definition): Recurrence {
  return cron === null ? { everyMs: everyMs ?? 0 } : { cron, timeZone: timeZone ?? 'UTC' };
}

/** Appends a run; one that cannot be made does not prevent later ones. */
function appendRun(definition: Definition, runMs: number, timer: DueTimer, pass: FiringPass): void {
  let message: MessageToCollect;
  try {
    message = messageOf(definition, runMs, pass.nowMs);
  } catch (error) {
    pass.setAside({ ...timer, topic: definition.topic }, error);
    return;
  }
  pass.append(message, timer);
}

function messageOf(definition: Definition, runMs: number, nowMs: number): MessageToCollect {
  const { name, topic, partition, key, headers, payload } = definition;
  // The same run has the same id, whichever process makes it and however often.
  const id = nameBasedId(`recurring ${name} ${runMs}`);
  const kept = JSON.parse(headers ?? '{}') as Readonly<Record<string, string>>;
  return {
    id: Buffer.from(id, 'latin1'),
    topic,
    partition,
    key: key === null ? null : Buffer.from(key, 'utf8'),
    headers: JSON.stringify({
      ...ownEventHeaders(kept, id, nowMs),
      ...kept,
      [RUN_AT_HEADER]: new Date(runMs).toISOString(),
    }),
    payload,
    timestampMs: nowMs,
  };
}

/** Headers that differ between runs, if the message is a CloudEvent. */
function ownEventHeaders(
  kept: Readonly<Record<string, string>>,
  id: string,
  nowMs: number,
): Record<string, string> {
  return 'ce_specversion' in kept ? { ce_id: id, ce_time: new Date(nowMs).toISOString() } : {};
}
