import {
  type Clock,
  FencedError,
  HandlerAbandonedError,
  isInfrastructureFailure,
  isWaybillError,
  type OpenTransaction,
  type PgDatabase,
  type SqlSession,
  type TransactionRunner,
} from '@waybill/kernel';
import {
  isConnectionLoss,
  isServerTrouble,
  isTransactionConflict,
  readableThrown,
  statement,
  TransactionLostError,
} from '@waybill/kernel/internal';
import { type Sealer } from '@waybill/log';
import { isSealedRecord, openRecord, plainRecord } from '@waybill/log/internal';
import type { Codec, MessageSignatures } from '@waybill/outbox';
import type { LaneRecord } from '../record/lane-record.js';
import { controlOf, headersOf, keyOf, messageIdOf, locationOf } from '../record/record-fields.js';
import type { Delivery } from '../handler/delivery.js';
import type { Verdict, VerdictWriter } from './verdict-writer.js';
import { readPayload } from './read-payload.js';
import { nameTimeout } from './name-timeout.js';
import type { Subscription } from '../handler/subscription.js';
import { drop, HandlerVerdict } from '../handler/handler-verdict.js';

const askAlive = statement<[], Record<never, never>>('ask-alive', 'select 1 as alive');

/** A record whose handler failed or returned a verdict other than "done", and the thrown value. */
export interface FailedRecord {
  readonly record: LaneRecord;
  readonly error: unknown;
}

/** The result of a batch: the records that are done and committed, and the one that failed; the rest is to be run later. */
export interface BatchOutcome {
  readonly done: readonly LaneRecord[];
  readonly failed: FailedRecord | undefined;
}

/**
 * The result of a transaction. Either the records that are done and committed: all, or the first ones if the time of the batch
 * was over; and how long their handlers took, in milliseconds. Or nothing is done, and `failedAt` is the index of the record at which it failed; undefined if it failed as a whole.
 */
export type TransactionOutcome =
  | { readonly done: readonly LaneRecord[]; readonly handledMs: number }
  | { readonly done: undefined; readonly failedAt: number | undefined; readonly error: unknown };

/** The partition and the group of deliveries. */
export interface DeliveryLocation {
  readonly topic: string;
  readonly partition: number;
  readonly group: string;
}

/** The verdict "done" on records, in the effect's transaction: marks or a position, and the fence. */
export type Verdicts = (done: readonly LaneRecord[]) => Verdict;

/** The databases of a delivery. */
export interface DeliveryDatabases {
  /** The database of the group's progress. */
  readonly database: PgDatabase;
  /** Opens handlers' transactions, in that database. */
  readonly transactions: TransactionRunner;
  /** Whether verdict statements stay prepared on their connections. */
  readonly prepared: boolean;
  /** Verifies messages before their handlers run; undefined if signing is off. */
  readonly signatures?: MessageSignatures | undefined;
  /** Decrypts messages. */
  readonly sealer: Sealer;
  /** Codecs by topic, for replies that report a failed request. */
  readonly codecs: Readonly<Record<string, Codec>>;
}

/** The context of a delivery, apart from its record. */
interface HandOver {
  readonly attempt: number;
  readonly transaction: OpenTransaction<unknown>;
  /** Aborts when the transaction can no longer be committed. */
  readonly signal: AbortSignal;
  /** The handlers' callbacks to run after the commit. */
  readonly afterCommit: (() => Promise<unknown>)[];
  /** Called with the index of each record that starts. */
  readonly onRecord: (index: number) => void;
  readonly batchMs: number;
}

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

/** Thrown internally to roll back a transaction because a record's handler failed. */
class RecordFailedError extends Error {
  constructor(
    readonly at: number,
    override readonly cause: unknown,
  ) {
    super('the handler of a record failed');
  }
}

/**
 * Thrown internally when a message cannot be opened now: the key of its subject is in the log or in the service's database, and
 * that one does not answer. Its handler has not run, so this says nothing about the message.
 */
class NotOpenedError extends Error {
  constructor(override readonly cause: unknown) {
    super('the key of a message could not be read');
  }
}

/**
 * Runs the handlers of a batch in one transaction of the service's database, which ends with the statements that store the
 * verdicts, under the fence. No savepoints: a batch in which one fails is rolled back, and run again in parts.
 */
export class DeliveryTransaction {
  constructor(
    private readonly databases: DeliveryDatabases,
    private readonly location: DeliveryLocation,
    private readonly subscription: Subscription,
    private readonly writer: VerdictWriter,
    private readonly signal: AbortSignal,
    private readonly clock: Clock,
  ) {}

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
    const onRecord = (index: number): void => {
      runningAt = index;
      underWay = [records[index] as LaneRecord];
    };
    let verdict: Verdict | undefined;
    let done: readonly LaneRecord[];
    let handledMs = 0;
    try {
      done = await this.databases.transactions.run({
        work: async (transaction) => {
          const startedAt = this.clock.monotonic();
          const handled = await this.#handle(records, {
            attempt,
            transaction,
            signal,
            afterCommit,
            onRecord,
            batchMs,
          });
          handledMs = this.clock.monotonic() - startedAt;
          runningAt = undefined;
          underWay = handled;
          return handled;
        },
        timeoutMs: this.#limitMs(records, batchMs),
        last: (handled: readonly LaneRecord[]) => {
          this.writer.assertNotStopped();
          verdict = verdicts(handled);
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
    return { done, handledMs };
  }

  /** The last record of a batch begins before the time of the batch is over, and has its own time then. */
  #limitMs(records: readonly LaneRecord[], batchMs: number): number {
    const { maxProcessingMs } = this.subscription;
    return records.length === 1 ? maxProcessingMs : maxProcessingMs + batchMs;
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
    const named = nameTimeout(error, this.#locationOf(records[at ?? 0] as LaneRecord));
    return { done: undefined, failedAt: at, error: named };
  }

  /** @returns the records that were handled: the first ones, if the time of the batch was over before the last */
  async #handle(records: readonly LaneRecord[], hand: HandOver): Promise<readonly LaneRecord[]> {
    const { session } = hand.transaction;
    const endAt = this.clock.monotonic() + hand.batchMs;
    for (const [index, record] of records.entries()) {
      if (this.signal.aborted)
        throw new FencedError(`The delivery of ${this.#locationOf(record)} was stopped`);
      if (index > 0) {
        if (this.clock.monotonic() >= endAt) return records.slice(0, index);
        // Settings made by the previous record's handler must not affect this one.
        await session.resetSession?.();
      }
      hand.onRecord(index);
      try {
        await this.#handleOne(record, hand);
        // It caught the error of a statement: nothing more can be done in this transaction, and the next one is not to blame.
        if (session.failure !== undefined) throw session.failure;
      } catch (thrown) {
        // One of its statements may still be running, and every other statement would wait for it.
        if (thrown instanceof HandlerAbandonedError || thrown instanceof NotOpenedError) throw thrown;
        const error = readableThrown(thrown);
        await assertOwnFailure(error, session);
        throw new RecordFailedError(index, error);
      }
    }
    return records;
  }

  async #handleOne(
    record: LaneRecord,
    { attempt, transaction, signal, afterCommit }: HandOver,
  ): Promise<void> {
    const { topic, partition } = this.location;
    const location = this.#locationOf(record);
    const { signatures, sealer, database } = this.databases;
    signatures?.verify(topic, record.record, location);
    const opened = isSealedRecord(record.record)
      ? await openRecord(sealer, database.session, topic, record.record, location).catch(whyNotOpened)
      : plainRecord(record.record);
    const delivery: Delivery = {
      topic,
      partition,
      offset: record.offset,
      key: opened.wasSealed ? keyOf(opened) : record.key,
      headers: headersOf(opened),
      control: controlOf(record.record),
      messageId: messageIdOf(record.record),
      subject: opened.subject,
      timestamp: new Date(record.record.timestampMs),
      attempt,
      isRedriven: record.isRedriven === true,
      payload: readPayload(opened, this.subscription, location),
      transaction: transaction.handle,
      session: transaction.session,
      signal,
      afterCommit: (work) => afterCommit.push(work),
    };
    const reply = await this.subscription.handler(delivery);
    // A returned verdict means the same as a thrown one.
    if (reply instanceof HandlerVerdict) throw reply;
  }

  #locationOf(record: LaneRecord): string {
    return locationOf(this.location.topic, this.location.partition, record.offset);
  }
}

/** A message whose subject was erased is not handled. @throws the verdict to drop it, or the error */
function whyNotOpened(error: unknown): never {
  if (isInfrastructureFailure(error)) throw new NotOpenedError(error);
  throw isWaybillError(error) && error.code === 'SUBJECT_ERASED' ? drop('its subject was erased') : error;
}

/**
 * Rethrows a handler's error if it is not the message's fault: if the transaction's connection is lost, or the server
 * rolled the transaction back for reasons of its own. This is determined from the transaction, not from the error: a
 * handler also calls other servers, and their time-outs count as attempts.
 */
async function assertOwnFailure(error: unknown, session: SqlSession): Promise<void> {
  if (!isInfrastructureFailure(error)) return;
  const state = await stateOf(session);
  if (state === 'lost') throw new TransactionLostError(error, false);
  if (state === 'failed' && (isTransactionConflict(error) || isServerTrouble(error))) throw error;
}

async function stateOf(session: SqlSession): Promise<'open' | 'failed' | 'lost'> {
  try {
    await session.run(askAlive);
    return 'open';
  } catch (error) {
    return isConnectionLoss(error) ? 'lost' : 'failed';
  }
}
