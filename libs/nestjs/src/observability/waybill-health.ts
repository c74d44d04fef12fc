import { describeError } from '@waybill/kernel';
import { outboxBacklog } from '@waybill/outbox';
import {
  outboxBacklogs,
  OutboxQuarantine,
  type QuarantineBacklog,
  type TopicBacklog,
} from '@waybill/outbox/internal';
import type { Waybill } from '../instance/waybill.js';

/** The health of Waybill, in the shape that `@nestjs/terminus` expects of an indicator. */
export type WaybillHealth = Record<
  string,
  { readonly status: 'up' | 'degraded' | 'down' } & Record<string, unknown>
>;

/** Age of the oldest message in the outbox at which the service counts as degraded, in milliseconds. */
const DEGRADED_AGE_MS = 30_000;
/** Number of messages in the outbox at which it does too. */
const DEGRADED_WAITING = 50_000;
/** Maximum number of reported backlogs and of reasons for quarantine. */
const SHOWN = 5;
/** Time without a poll after which the relay counts as down, in milliseconds. */
const RELAY_SILENCE_MS = 30_000;
/** The same for a consumer that has not read the log. */
const CONSUMER_SILENCE_MS = 30_000;
/** The same for the firing of timers. */
const SCHEDULER_SILENCE_MS = 30_000;
/** The same for check-back, whose checks may all take their full time limit. */
const CHECKER_SILENCE_MS = 60_000;
/** Duration of failing checks of a half message after which the service counts as degraded, in milliseconds. */
const FAILING_CHECKS_MS = 600_000;

/**
 * Reports whether Waybill works in this process: `down` when its database cannot be reached, a partition cannot be
 * consumed or the lease has lapsed; `degraded` when messages wait in the outbox for longer than 30 seconds, 50,000 wait
 * or further ones are refused (`outboxBacklogs` names topics and roles), messages are quarantined, a half message is
 * undecided or its checks have failed for ten minutes, a saga is stuck and waits for an operator, sagas wait for a
 * version that no process has, or Redis is configured but PostgreSQL is the clock of timers.
 */
export class WaybillHealthIndicator {
  constructor(private readonly waybill: Waybill) {}

  /** @param key the name of the result */
  async isHealthy(key = 'waybill'): Promise<WaybillHealth> {
    const silence = this.#problems();
    try {
      const { waiting, oldestAgeMs, backlogs, quarantined } = await this.#backlog();
      const halves = await this.waybill.halves.operations.stats();
      const trouble = await this.waybill.halves.operations.trouble();
      const sagas = await this.waybill.sagas.operations.stats();
      const unserved = await this.waybill.sagas.unserved();
      const stuck = sagas.find(({ state }) => state === 'STUCK')?.sagas ?? 0;
      const problems = this.#problems();
      const late =
        waiting >= DEGRADED_WAITING ||
        (oldestAgeMs !== null && oldestAgeMs > DEGRADED_AGE_MS) ||
        backlogs.some(({ full }) => full !== null) ||
        quarantined.length > 0;
      const { clock, degraded = false, reason } = this.waybill.scheduler?.status ?? {};
      const status =
        problems.length > 0
          ? 'down'
          : late ||
              degraded ||
              halves.undecided > 0 ||
              (trouble.oldestFailingMs ?? 0) >= FAILING_CHECKS_MS ||
              stuck > 0 ||
              unserved.length > 0
            ? 'degraded'
            : 'up';
      const timers = clock === undefined ? {} : { timerClock: clock };
      const why = reason === undefined ? {} : { timerClockReason: reason };
      const outbox = {
        outboxWaiting: waiting,
        outboxOldestAgeMs: oldestAgeMs,
        outboxBacklogs: backlogs,
        outboxQuarantined: quarantined,
      };
      const half = {
        halfMessagesOpen: halves.open,
        halfMessagesOldestAgeMs: halves.oldestOpenAgeMs,
        halfMessagesUndecided: halves.undecided,
        halfMessagesUndecidedAgeMs: trouble.oldestUndecidedAgeMs,
        halfMessagesFailing: trouble.failing,
        halfMessagesFailingMs: trouble.oldestFailingMs,
        halfMessagesLastFailure: trouble.lastFailure,
        halfMessageChecks: this.waybill.halves.checker?.counts,
      };
      const ofSagas = {
        sagasUnderWay: sagas.reduce((sum, { sagas: some }) => sum + some, 0),
        sagasStuck: stuck,
        sagasWithoutDefinition: unserved,
        sagaMessagesRefused: this.waybill.sagas.refused,
        sagasOldestAgeMs: sagas.length === 0 ? null : Math.max(...sagas.map(({ oldestMs }) => oldestMs)),
      };
      return { [key]: { status, ...outbox, ...half, ...ofSagas, ...timers, ...why, problems } };
    } catch (error) {
      return { [key]: { status: 'down', problems: [describeError(error), ...silence] } };
    }
  }

  async #backlog(): Promise<OutboxState> {
    const { database } = this.waybill;
    const backlog = await outboxBacklog(database.session);
    const backlogs = await outboxBacklogs(database.session, SHOWN);
    const quarantined = await new OutboxQuarantine(database).backlogs(SHOWN);
    return { ...backlog, backlogs, quarantined };
  }

  #problems(): string[] {
    const consumer = this.waybill.consumerStatus;
    const problems = (consumer?.failures ?? []).map(
      ({ topic, partition, reason }) => `${topic}[${partition}] is not consumed: ${reason}`,
    );
    if (consumer?.leaseLapsed === true) problems.push('the lease has lapsed: no heartbeat succeeds');
    if ((consumer?.lastReadAgeMs ?? 0) > CONSUMER_SILENCE_MS)
      problems.push('the consumer makes no progress: it cannot read the log');
    const relay = this.waybill.relay?.service;
    if (relay?.running === true && (relay.lastPassAgeMs ?? 0) > RELAY_SILENCE_MS)
      problems.push('the relay makes no progress');
    const scheduler = this.waybill.scheduler?.service;
    const checker = this.waybill.halves.checker?.service;
    if (checker?.running === true && (checker.lastPassAgeMs ?? 0) > CHECKER_SILENCE_MS)
      problems.push('the check-back of half messages makes no progress');
    if (scheduler?.running === true && (scheduler.lastPassAgeMs ?? 0) > SCHEDULER_SILENCE_MS)
      problems.push('the firing of timers makes no progress');
    return problems;
  }
}

interface OutboxState {
  readonly waiting: number;
  readonly oldestAgeMs: number | null;
  readonly backlogs: readonly TopicBacklog[];
  readonly quarantined: readonly QuarantineBacklog[];
}
