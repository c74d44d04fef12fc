import { describeError } from '@waybill/kernel';
import { outboxBacklog } from '@waybill/outbox';
import {
  outboxBacklogs,
  OutboxQuarantine,
  type QuarantineBacklog,
  type TopicBacklog,
} from '@waybill/outbox/internal';
import type { Waybill } from '../instance/waybill.js';

/** How Waybill fares, in the shape that `@nestjs/terminus` takes from an indicator. */
export type WaybillHealth = Record<
  string,
  { readonly status: 'up' | 'degraded' | 'down' } & Record<string, unknown>
>;

/** Age of the oldest message in the outbox from which on the service counts as degraded, in milliseconds. */
const DEGRADED_AGE_MS = 30_000;
/** Messages in the outbox from which on it does so too. */
const DEGRADED_WAITING = 50_000;
/** Kinds of backlogs and of quarantined messages that are told. */
const SHOWN = 5;
/** A relay that has not looked for so long counts as down, in milliseconds. */
const RELAY_SILENCE_MS = 30_000;
/** The same of a consumer that has not read the log. */
const CONSUMER_SILENCE_MS = 30_000;
/** The same of the firing of timers. */
const SCHEDULER_SILENCE_MS = 30_000;
/** The same of check-back, whose checks may all take their whole time. */
const CHECKER_SILENCE_MS = 60_000;
/** Checks of a half message that have failed for so long make the service count as degraded, in milliseconds. */
const FAILING_CHECKS_MS = 600_000;

/**
 * Tells whether Waybill works in this process: `down` when its database cannot be reached, a partition cannot be
 * consumed or the lease has lapsed; `degraded` when messages wait in the outbox for longer than 30 seconds, 50,000 wait or
 * further ones are refused (`outboxBacklogs` names topics and roles), messages are quarantined, a half message is undecided or its checks have failed for ten minutes, a saga is stuck and waits for an operator, sagas wait for a version that no process has, or Redis is configured and PostgreSQL is the clock of timers in its place.
 */
export class WaybillHealthIndicator {
  constructor(private readonly waybill: Waybill) {}

  /** @param key the name under which the result stands */
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

  /** Where the log is in another database there is no outbox. */
  async #backlog(): Promise<OutboxState> {
    const { outbox, database } = this.waybill;
    if (!outbox.isOpen) return { waiting: 0, oldestAgeMs: null, backlogs: [], quarantined: [] };
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
    if (consumer?.leaseLapsed === true) problems.push('the lease has lapsed, no heartbeat comes through');
    if ((consumer?.lastReadAgeMs ?? 0) > CONSUMER_SILENCE_MS)
      problems.push('the consumer does not get on: the log cannot be read');
    const relay = this.waybill.relay?.service;
    if (relay?.running === true && (relay.lastPassAgeMs ?? 0) > RELAY_SILENCE_MS)
      problems.push('the relay does not get on');
    const scheduler = this.waybill.scheduler?.service;
    const checker = this.waybill.halves.checker?.service;
    if (checker?.running === true && (checker.lastPassAgeMs ?? 0) > CHECKER_SILENCE_MS)
      problems.push('the check-back of half messages does not get on');
    if (scheduler?.running === true && (scheduler.lastPassAgeMs ?? 0) > SCHEDULER_SILENCE_MS)
      problems.push('the firing of timers does not get on');
    return problems;
  }
}

interface OutboxState {
  readonly waiting: number;
  readonly oldestAgeMs: number | null;
  readonly backlogs: readonly TopicBacklog[];
  readonly quarantined: readonly QuarantineBacklog[];
}
