import { type Clock, FencedError, isInfrastructureFailure } from '@waybill/kernel';
import { isConnectionLoss, TransactionLostError } from '@waybill/kernel/internal';
import type { Subscription } from '../handler/subscription.js';
import type { LaneRecord } from '../record/lane-record.js';
import {
  type DeliveryDatabases,
  type DeliveryLocation,
  type HandledRecords,
  HandlerCalls,
  type HandOver,
  NotOpenedError,
  RecordFailedError,
} from './handler-calls.js';
import { nameTimeout } from './name-timeout.js';
import type { Verdict, VerdictWriter } from './verdict-writer.js';

/** A record whose handler failed or returned a verdict other than "done", and the thrown value. */
export interface FailedRecord {
  readonly record: LaneRecord;
  readonly error: unknown;
}

/**
 * The result of a batch: the records that are done (or were dropped) and committed, and the one that failed; the rest is to be
 * run later.
 */
export interface BatchOutcome {
  readonly done: readonly LaneRecord[];
  readonly failed: FailedRecord | undefined;
}

/**
 * The result of a transaction. Either the records that are done and committed (all, or the first ones if the time of the batch
 * was over), those of them that were dropped, and how long their handlers took, in milliseconds. Or nothing is done, and
 * `failedAt` is the index of the record at which it failed; undefined if it failed as a whole.
 */
export type TransactionOutcome =
  | (HandledRecords & { readonly handledMs: number })
  | { readonly done: undefined; readonly failedAt: number | undefined; readonly error: unknown };

/**
 * The verdict "done" on records, and "dropped" on some of them, in the effect's transaction: marks or a position, and the
 * fence.
 */
export type Verdicts = (done: readonly LaneRecord[], dropped: ReadonlySet<LaneRecord>) => Verdict;

/**
 * The connection was lost while these records were being handled or committed. Under this owner epoch it is unknown
 * whether they have taken effect, and one of them may have caused the loss.
 */
export class DeliveryLostError extends Error {
  override readonly name = 'DeliveryLostError';

  constructor(
    readonly offsets: readonly number[],
    cause: unknown,
  ) {
    super('the connection was lost during a delivery', { cause });
  }
}

/**
 * Runs the handlers of a batch in one transaction of the service's database, which ends with the statements that store the
 * verdicts, under the fence. No savepoints: a batch in which one fails is rolled back, and run again in parts.
 */
export class DeliveryTransaction {
  readonly #calls: HandlerCalls;

  constructor(
    private readonly databases: DeliveryDatabases,
    location: DeliveryLocation,
    private readonly subscription: Subscription,
    private readonly writer: VerdictWriter,
    private readonly signal: AbortSignal,
    private readonly clock: Clock,
  ) {
    this.#calls = new HandlerCalls(databases, location, subscription, signal, clock);
  }

  /**
   * Runs records once.
   * @param attempt the number of this attempt, from 1
   * @param batchMs no handler begins later than this after the first one, in milliseconds
   * @throws FencedError if another member owns the partition
   * @throws DeliveryLostError if the connection was lost during it; on any other infrastructure failure, nothing is
   * done
   */
  async run(
    records: readonly LaneRecord[],
    attempt: number,
    verdicts: Verdicts,
    batchMs: number,
  ): Promise<TransactionOutcome> {
    const ended = new AbortController();
    const signal = AbortSignal.any([this.signal, ended.signal]);
    const afterCommit: HandOver['afterCommit'] = [];
    let runningAt: number | undefined;
    // The records that may have caused a connection loss: the running one, or all of them during the commit.
    let underWay: readonly LaneRecord[] = [];
    const onStart = (index: number | undefined): void => {
      runningAt = index;
      underWay = index === undefined ? records : [records[index] as LaneRecord];
    };
    let verdict: Verdict | undefined;
    let all: HandledRecords;
    let handledMs = 0;
    try {
      all = await this.databases.transactions.run({
        work: async (transaction) => {
          const startedAt = this.clock.monotonic();
          const hand = { attempt, transaction, signal, afterCommit, onStart, batchMs };
          const handled = await this.#calls.handle(records, hand);
          handledMs = this.clock.monotonic() - startedAt;
          runningAt = undefined;
          underWay = handled.done;
          return handled;
        },
        timeoutMs: this.#limitMs(records, batchMs),
        last: ({ done, dropped }: HandledRecords) => {
          this.writer.assertNotStopped();
          verdict = verdicts(done, new Set(dropped.keys()));
          return this.writer.prepared(verdict.statements);
        },
      });
    } catch (error) {
      ended.abort();
      verdict?.failed();
      return this.#rolledBack(error, records, underWay, runningAt);
    }
    // A callback that throws synchronously must not hide from the lane that all is committed.
    await Promise.allSettled(afterCommit.map(async (work) => work()));
    verdict?.committed();
    return { ...all, handledMs };
  }

  /** The last record of a batch begins before the time of the batch is over, and has its own time then. */
  #limitMs(records: readonly LaneRecord[], batchMs: number): number {
    const { maxProcessingMs, handling } = this.subscription;
    return records.length === 1 || handling.kind === 'batch' ? maxProcessingMs : maxProcessingMs + batchMs;
  }

  /**
   * @param underWay the records that may have caused a lost connection
   * @param at the index of the record whose handler was running
   */
  #rolledBack(
    error: unknown,
    records: readonly LaneRecord[],
    underWay: readonly LaneRecord[],
    at: number | undefined,
  ): TransactionOutcome {
    if (error instanceof RecordFailedError)
      return { done: undefined, failedAt: error.at, error: error.cause };
    if (error instanceof NotOpenedError) throw error.cause;
    if (error instanceof TransactionLostError || (underWay.length > 0 && isConnectionLoss(error)))
      throw new DeliveryLostError(
        underWay.map(({ offset }) => offset),
        error,
      );
    if (isInfrastructureFailure(error) || error instanceof FencedError) throw error;
    // A time-out, or a failure at COMMIT such as a deferred constraint.
    const named = nameTimeout(error, this.#calls.locationOf(records[at ?? 0] as LaneRecord));
    return { done: undefined, failedAt: at, error: named };
  }
}
