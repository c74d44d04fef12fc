import { describeError } from '@waybill/kernel';
import { isServerTrouble, isTransactionConflict } from '@waybill/kernel/internal';
import { databaseTime } from '@waybill/timer/internal';
import {
  type BatchOutcome,
  DeliveryLostError,
  type DeliveryTransaction,
  type TransactionOutcome,
  type Verdicts,
} from '../delivery/delivery-transaction.js';
import type { Permit } from '../delivery/permits.js';
import type { RepeatedWork } from '../delivery/repeated-work.js';
import type { LaneRecord } from '../record/lane-record.js';
import { expiresAtMs } from '../record/record-fields.js';
import { BatchSize } from './batch-size.js';
import type { ConnectionLosses } from './connection-losses.js';
import { isHandlersTrouble } from './decide-retry.js';
import { fieldsOf, type LaneEnvironment } from './lane-context.js';
import { reportDropped } from './report-outcome.js';

/** While the breaker is half open, a retry in place checks this often whether it may continue, in milliseconds. */
const BREAKER_POLL_MS = 100;

/** How long to wait for reports of other lost connections, in milliseconds. */
const HEAR_LOSSES_MS = 50;
/**
 * Number of conflicts with other transactions in a row that do not count as attempts; one more is the message's own
 * failure.
 */
const MOST_CONFLICTS = 50;
/**
 * Number of successful deliveries in this process after which a record that only meets server trouble is itself at
 * fault.
 */
const OTHERS_SUCCEED = 20;

/** Makes the attempts of a lane, for messages from the log and for parked ones. */
export class LaneAttempts {
  readonly #size: BatchSize;

  constructor(
    private readonly environment: LaneEnvironment,
    private readonly deliveries: DeliveryTransaction,
    private readonly losses: ConnectionLosses,
    private readonly repeated: RepeatedWork,
  ) {
    const { subscription, context } = environment;
    const { handling, asksForBatches, transactionBatch, batchMs } = subscription;
    const mayShare = asksForBatches || context.databases.transactions.resetsSession === true;
    this.#size =
      handling.kind === 'batch'
        ? new BatchSize(handling.max, batchMs, 'one call')
        : new BatchSize(mayShare ? transactionBatch : 1, batchMs);
  }

  /** How many messages may share the next transaction. */
  get mostTogether(): number {
    return this.#size.most;
  }

  /** How many waiting messages are worth a second transaction beside one that is running. */
  get worthAnother(): number {
    return this.#size.worthAnother;
  }

  /** How long a transaction of several messages may run its handlers, in milliseconds. */
  get longestBatchMs(): number {
    return this.#size.longestMs;
  }

  /** Whether a handler has succeeded. */
  hasProgressed = false;

  /**
   * Makes an attempt with records. Those that fail together are run again in parts, down to the one that fails by itself, behind
   * those before it: only that one is charged. A transaction conflict or server trouble does not count as an attempt and is
   * retried. If the connection is lost, it is unknown whether the effect has been committed: the lane then ends, and is
   * reopened under a new epoch, which resolves that.
   */
  async run(
    records: readonly LaneRecord[],
    attempt: number,
    permit: Permit,
    verdicts: Verdicts,
  ): Promise<BatchOutcome> {
    const { breaker } = this.environment;
    breaker?.begin();
    let outcome: BatchOutcome;
    try {
      outcome = await this.#inParts(records, attempt, permit, verdicts);
    } catch (error) {
      breaker?.undecided();
      if (error instanceof DeliveryLostError) await this.#noteLoss(error);
      throw error;
    }
    this.#tellBreaker(outcome);
    return outcome;
  }

  /** After a moment, in which the losses of other connections become known. */
  async #noteLoss({ offsets, cause }: DeliveryLostError): Promise<void> {
    const { clock, databases } = this.environment.context;
    await clock.sleep(HEAR_LOSSES_MS);
    this.losses.note(offsets, cause, databases.database.recentLosses);
  }

  async #inParts(
    records: readonly LaneRecord[],
    attempt: number,
    permit: Permit,
    verdicts: Verdicts,
  ): Promise<BatchOutcome> {
    const { context } = this.environment;
    const done: LaneRecord[] = [];
    let parts: (readonly LaneRecord[])[] = [records];
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const outcome = await this.#untilDecided(part, attempt, permit, verdicts);
      if (outcome.done !== undefined) {
        this.#size.succeeded(outcome.done.length, outcome.handledMs);
        context.counters.done += outcome.done.length - outcome.dropped.size;
        for (const [record, reason] of outcome.dropped) this.#noteDropped(record, attempt, reason);
        this.hasProgressed = true;
        done.push(...outcome.done);
        // The time of the batch is over: the others are run later.
        if (outcome.done.length < part.length) break;
        continue;
      }
      this.#size.failed();
      const { failedAt, error } = outcome;
      if (part.length === 1 || failedAt === 0)
        return { done, failed: { record: part[0] as LaneRecord, error } };
      parts = [...partsOf(part, failedAt), ...(failedAt === undefined ? parts : [])];
    }
    return { done, failed: undefined };
  }

  #noteDropped(record: LaneRecord, attempt: number, reason: string): void {
    const failing = { record, error: undefined, attempts: attempt, failingForMs: 0 };
    reportDropped(this.environment, failing, reason);
  }

  async #untilDecided(
    records: readonly LaneRecord[],
    attempt: number,
    permit: Permit,
    verdicts: Verdicts,
  ): Promise<TransactionOutcome> {
    const { counters } = this.environment.context;
    const doneBefore = counters.done;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.deliveries.run(records, attempt, verdicts, this.#size.longestMs);
      } catch (error) {
        const isConflict = isTransactionConflict(error);
        if (this.repeated.isClosing || (!isConflict && !isServerTrouble(error))) throw error;
        const isOver = isConflict
          ? tries > MOST_CONFLICTS
          : counters.done - doneBefore >= OTHERS_SUCCEED && tries > OTHERS_SUCCEED;
        if (isOver) return { done: undefined, failedAt: undefined, error };
        await this.repeated.pauseAfter(error, tries, permit);
        // Those that conflict with others by the locks of many hold fewer.
        if (isConflict && records.length > 1) return { done: undefined, failedAt: undefined, error };
      }
    }
  }

  /** The records that have expired, by the database's clock. */
  async expired(records: readonly LaneRecord[], permit: Permit): Promise<LaneRecord[]> {
    const mortal = records.filter(({ record }) => expiresAtMs(record) !== Infinity);
    if (mortal.length === 0) return [];
    const { database } = this.environment.context.databases;
    const [time] = await this.read(permit, () => database.session.run(databaseTime));
    const now = time?.nowMs ?? 0;
    return mortal.filter(({ record }) => expiresAtMs(record) <= now);
  }

  /** Runs a query, with retries. */
  async read<T>(permit: Permit, work: () => Promise<T>): Promise<T> {
    return this.repeated.run(permit, () => true, work);
  }

  /** Waits until a retry in place may run: its own wait is over, the budget has a retry, and the breaker admits it. */
  async pauseBeforeRetry(ms: number, permit: Permit): Promise<void> {
    if (ms > 0) await this.repeated.pause(ms, permit);
    const { breaker, context } = this.environment;
    for (;;) {
      const blockedMs = breaker?.waitMs ?? 0;
      if (blockedMs > 0) await this.repeated.pause(Math.min(blockedMs, BREAKER_POLL_MS), permit);
      else if (context.budget?.tryTake() === false) await this.repeated.pause(context.budget.waitMs, permit);
      else return;
    }
  }

  #tellBreaker({ done, failed }: BatchOutcome): void {
    const { breaker, context } = this.environment;
    if (breaker === undefined) return;
    const { logger, wake } = context;
    if (done.length > 0 && breaker.succeeded()) {
      logger.info('the handler succeeded again: closed its circuit breaker', fieldsOf(this.environment));
      wake();
    }
    if (failed === undefined) return;
    if (!isHandlersTrouble(failed.error)) {
      breaker.undecided();
      wake();
    } else if (breaker.failed()) {
      logger.error(
        `the circuit breaker pauses the handler for ${breaker.waitMs} ms: ${describeError(failed.error)}`,
        fieldsOf(this.environment),
      );
    }
  }
}

/**
 * The parts in which a failed batch is run again. The record at which it failed runs alone, since one before it may have caused
 * that; the records behind it are left to a later batch.
 */
function partsOf(records: readonly LaneRecord[], failedAt: number | undefined): (readonly LaneRecord[])[] {
  if (failedAt !== undefined) return [records.slice(0, failedAt), records.slice(failedAt, failedAt + 1)];
  const half = records.length >> 1;
  return [records.slice(0, half), records.slice(half)];
}
