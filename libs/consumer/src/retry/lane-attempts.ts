import {
  type BoundStatement,
  describeError,
  FencedError,
  isServerTrouble,
  isTransactionConflict,
  type RemoteError,
} from '@waybill/kernel';
import { databaseTime } from '@waybill/timer';
import { deadLetterInsert, type DeadLetterReason } from '@waybill/dead-letter';
import type { ConnectionLosses } from './connection-losses.js';
import type { LaneRecord } from '../record/lane-record.js';
import { controlOf, expiresAtMs, messageIdOf, locationOf } from '../record/record-fields.js';
import {
  type BatchOutcome,
  DeliveryLostError,
  type DeliveryTransaction,
  type Verdicts,
} from '../delivery/delivery-transaction.js';
import { type Decision, decide, isFromNewer, isHandlersTrouble } from './decide-retry.js';
import { fieldsOf, type LaneEnvironment } from './lane-context.js';
import { remoteErrorOf, withheldError } from '../reply/remote-error.js';
import { failureReply, isReplyTopic, REPLY_TO_HEADER } from '../reply/reply.js';
import { reportOutcome } from './report-outcome.js';
import type { Permit } from '../delivery/permits.js';
import { HandlerVerdict } from '../handler/handler-verdict.js';

/** A message that has failed, and how it has fared so far. */
export interface Failing {
  readonly record: LaneRecord;
  /** What its last attempt threw. */
  readonly error: unknown;
  /** Attempts made that count, the last one included. */
  readonly attempts: number;
  readonly failingForMs: number;
}

/** While the breaker is half open a retry in place looks this often whether it may go on, in milliseconds. */
const BREAKER_POLL_MS = 100;

/** How long the losses of other connections are waited for, in milliseconds. */
const HEAR_LOSSES_MS = 50;
/** Conflicts with other transactions in a row that are no attempts; one more is the message's own failure. */
const MOST_CONFLICTS = 50;
/** Deliveries of the process that end well while one meets nothing but trouble: then the trouble is its own. */
const OTHERS_SUCCEED = 20;

/** Makes the attempts of a lane, for messages from the log and for those that waited beside it. */
export class LaneAttempts {
  constructor(
    private readonly environment: LaneEnvironment,
    private readonly deliveries: DeliveryTransaction,
    private readonly losses: ConnectionLosses,
    /** Aborts when nothing more is to be begun. */
    private readonly closing: AbortSignal,
  ) {}

  /** Whether a handler has come to a good end. */
  hasProgressed = false;

  /**
   * Runs records once. A conflict between transactions, and trouble of the server, are no attempt of the record's, and are
   * tried again. When the connection is lost, it is unknown whether the effect has been committed: the lane then ends, and
   * is opened again under a new epoch, which makes it known.
   */
  async run(
    records: readonly LaneRecord[],
    attempt: number,
    permit: Permit,
    verdicts: Verdicts,
  ): Promise<BatchOutcome> {
    const { breaker, context } = this.environment;
    breaker?.begin();
    let outcome: BatchOutcome;
    try {
      outcome = await this.#untilDecided(records, attempt, permit, verdicts);
    } catch (error) {
      breaker?.undecided();
      if (error instanceof DeliveryLostError) await this.#noteLoss(error);
      throw error;
    }
    context.counters.done += outcome.done.length;
    this.hasProgressed ||= outcome.done.length > 0;
    this.#tellBreaker(outcome);
    return outcome;
  }

  /** After a moment, in which the losses of other connections become known. */
  async #noteLoss({ offsets, cause }: DeliveryLostError): Promise<void> {
    const { clock, databases } = this.environment.context;
    await clock.sleep(HEAR_LOSSES_MS);
    this.losses.note(offsets, cause, databases.bus.recentLosses);
  }

  async #untilDecided(
    records: readonly LaneRecord[],
    attempt: number,
    permit: Permit,
    verdicts: Verdicts,
  ): Promise<BatchOutcome> {
    const { counters } = this.environment.context;
    const doneBefore = counters.done;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.deliveries.run(records, attempt, verdicts);
      } catch (error) {
        const isConflict = isTransactionConflict(error);
        if (this.closing.aborted || (!isConflict && !isServerTrouble(error))) throw error;
        const isOver = isConflict
          ? tries > MOST_CONFLICTS
          : counters.done - doneBefore >= OTHERS_SUCCEED && tries > OTHERS_SUCCEED;
        if (isOver && records.length > 1) return this.#eachAlone(records, attempt, permit, verdicts);
        if (isOver) return { done: [], failed: { record: records[0] as LaneRecord, error } };
        await this.#pauseAfter(error, tries, permit);
      }
    }
  }

  async #eachAlone(
    records: readonly LaneRecord[],
    attempt: number,
    permit: Permit,
    verdicts: Verdicts,
  ): Promise<BatchOutcome> {
    const done: LaneRecord[] = [];
    for (const record of records) {
      const { failed } = await this.#untilDecided([record], attempt, permit, verdicts);
      if (failed !== undefined) return { done, failed };
      done.push(record);
    }
    return { done, failed: undefined };
  }

  /** Decides what follows a failed attempt, and says so in the log. */
  decide({ record, error, attempts, failingForMs }: Failing): Decision {
    const { context, subscription, topic, partition } = this.environment;
    const decision = decide(subscription.retry, { error, attempts, failingForMs }, context.random());
    if (decision.kind === 'retry')
      reportOutcome(this.environment, record, { kind: 'retry', attempts, error, delayMs: decision.delayMs });
    if (error instanceof HandlerVerdict) return decision;
    const location = locationOf(topic.name, partition, record.offset);
    const isWaiting = isFromNewer(error);
    if (!isWaiting) context.counters.failed(attempts);
    context.logger.warn(
      `${isWaiting ? `${location} waits` : `attempt ${attempts} of ${location} failed`}: ${describeError(error)}`,
      { group: context.group, messageId: messageIdOf(record.record), attempt: attempts },
    );
    return decision;
  }

  /** The statements that make a message a dead letter, and tell anyone who waits for its answer. */
  async deadLetter(
    failing: Failing,
    reason: DeadLetterReason,
    error: unknown,
    permit: Permit,
  ): Promise<BoundStatement[]> {
    const { context, subscription, topic, partition, progress } = this.environment;
    const { record, attempts, failingForMs } = failing;
    const letter = deadLetterInsert({
      groupId: context.groupId,
      partitionId: progress.ownership.partitionId,
      topic: topic.name,
      partition,
      handler: subscription.name,
      bucketSeq: record.bucketSeq,
      messageId: messageIdOf(record.record),
      key: record.key,
      record: record.record,
      reason,
      error,
      attempts,
      failingForMs,
    });
    const replyTo = subscription.answers ? controlOf(record.record)[REPLY_TO_HEADER] : undefined;
    if (replyTo === undefined || !isReplyTopic(replyTo)) return [letter];
    // Anyone who asks for the first time has only just made the topic of its answers.
    const found = await this.read(permit, () => context.topics.find(replyTo));
    return found === undefined
      ? [letter]
      : [letter, ...failureReply(record.record, replyTo, this.#toldOf(error, record), context.databases)];
  }

  /** What is told of a failure to the one who asked. */
  #toldOf(error: unknown, { record, offset }: LaneRecord): RemoteError {
    const { subscription, topic, partition } = this.environment;
    try {
      if (subscription.tellErrors(error)) return remoteErrorOf(error);
    } catch (failure) {
      this.environment.context.logger.warn(
        `tellErrors failed: ${describeError(failure)}`,
        fieldsOf(this.environment),
      );
    }
    return withheldError(error, messageIdOf(record) ?? locationOf(topic.name, partition, offset));
  }

  /** Says that a message has become a dead letter, once that is committed. */
  reportDeadLetter({ record, attempts }: Failing, reason: DeadLetterReason, error: unknown): void {
    const { context, topic, partition } = this.environment;
    context.counters.deadLetters += 1;
    reportOutcome(this.environment, record, { kind: 'dead-letter', attempts, error, delayMs: undefined });
    context.logger.error(
      `${locationOf(topic.name, partition, record.offset)} is a dead letter (${reason}): ${describeError(error)}`,
      { group: context.group, messageId: messageIdOf(record.record), attempts },
    );
  }

  /** Says that a message was dropped, once that is committed. */
  reportDropped({ record, attempts }: Failing, reason: string): void {
    const { context, topic, partition } = this.environment;
    context.counters.dropped += 1;
    reportOutcome(this.environment, record, { kind: 'drop', attempts, error: undefined, delayMs: undefined });
    context.logger.warn(`${locationOf(topic.name, partition, record.offset)} was dropped: ${reason}`, {
      group: context.group,
      messageId: messageIdOf(record.record),
    });
  }

  /** Those of the records that are past their time, by the database's clock. */
  async expired(records: readonly LaneRecord[], permit: Permit): Promise<LaneRecord[]> {
    const mortal = records.filter(({ record }) => expiresAtMs(record) !== Infinity);
    if (mortal.length === 0) return [];
    const { bus } = this.environment.context.databases;
    const [time] = await this.read(permit, () => bus.session.run(databaseTime));
    const now = time?.nowMs ?? 0;
    return mortal.filter(({ record }) => expiresAtMs(record) <= now);
  }

  /**
   * Writes statements in a transaction of their own, under the fence, which they end with; resolves to their rows. Only a
   * conflict is tried again: where the outcome is unknown, a copy that is executed late would undo what comes behind it, so
   * the lane has to end, and nothing more is written under its epoch.
   */
  async settle(statements: readonly BoundStatement[], permit: Permit): Promise<unknown[][]> {
    return this.#again(permit, isKnownOutcome, () => this.deliveries.settle(statements));
  }

  /** Reads something, as often as it takes. */
  async read<T>(permit: Permit, work: () => Promise<T>): Promise<T> {
    return this.#again(permit, () => true, work);
  }

  async #again<T>(
    permit: Permit,
    mayRepeat: (error: unknown) => boolean,
    work: () => Promise<T>,
  ): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await work();
      } catch (error) {
        if (error instanceof FencedError || this.closing.aborted || !mayRepeat(error)) throw error;
        await this.#pauseAfter(error, failures, permit);
      }
    }
  }

  async #pauseAfter(error: unknown, failures: number, permit: Permit): Promise<void> {
    if (failures === 1 || failures % 20 === 0) {
      const { logger } = this.environment.context;
      logger.warn(`a delivery is tried again: ${describeError(error)}`, fieldsOf(this.environment));
    }
    await this.pause(Math.min(2_000, 20 * 2 ** Math.min(failures, 7)), permit);
  }

  /** Waits without holding a permit: other keys and partitions go on. */
  async pause(ms: number, permit: Permit): Promise<void> {
    permit.release();
    await this.environment.context.clock.sleep(ms, this.closing);
    await permit.reacquire();
    if (this.closing.aborted) throw new FencedError('The lane was stopped between two attempts');
  }

  /** Waits until a retry in place may be made: its own wait is over, the budget has one, the breaker lets it through. */
  async pauseBeforeRetry(ms: number, permit: Permit): Promise<void> {
    if (ms > 0) await this.pause(ms, permit);
    const { breaker, context } = this.environment;
    for (;;) {
      const blockedMs = breaker?.waitMs ?? 0;
      if (blockedMs > 0) await this.pause(Math.min(blockedMs, BREAKER_POLL_MS), permit);
      else if (context.budget?.tryTake() === false) await this.pause(context.budget.waitMs, permit);
      else return;
    }
  }

  #tellBreaker({ done, failed }: BatchOutcome): void {
    const { breaker, context } = this.environment;
    if (breaker === undefined) return;
    const { logger, wake } = context;
    if (done.length > 0 && breaker.succeeded()) {
      logger.info('the handler works again: its circuit breaker is closed', fieldsOf(this.environment));
      wake();
    }
    if (failed === undefined) return;
    if (!isHandlersTrouble(failed.error)) {
      breaker.undecided();
      wake();
    } else if (breaker.failed()) {
      logger.error(
        `the handler is paused by its circuit breaker for ${breaker.waitMs} ms: ${describeError(failed.error)}`,
        fieldsOf(this.environment),
      );
    }
  }
}

/** Whether the server has said that nothing was done, for reasons that pass. */
function isKnownOutcome(error: unknown): boolean {
  return isTransactionConflict(error) || isServerTrouble(error);
}

/** Whether an attempt that ended so counts: nothing has failed where a message is only to be handed over later. */
export function countsAs(error: unknown): 0 | 1 {
  return (error instanceof HandlerVerdict && error.kind === 'retry') || isFromNewer(error) ? 0 : 1;
}
