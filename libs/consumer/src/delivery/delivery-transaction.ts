import {
  type BoundStatement,
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
  runAhead,
  savepointOf,
  statement,
  TransactionLostError,
} from '@waybill/kernel/internal';
import { type Sealer } from '@waybill/log';
import { openRecord } from '@waybill/log/internal';
import type { Codec, MessageSignatures } from '@waybill/outbox';
import type { LaneRecord } from '../record/lane-record.js';
import { controlOf, headersOf, keyOf, messageIdOf, locationOf } from '../record/record-fields.js';
import type { Delivery } from '../handler/delivery.js';
import type { VerdictWriter } from './verdict-writer.js';
import { readPayload } from './read-payload.js';
import { nameTimeout } from './name-timeout.js';
import type { Subscription } from '../handler/subscription.js';
import { drop, HandlerVerdict } from '../handler/handler-verdict.js';

const savepoint = savepointOf('delivery');
const askAlive = statement<[], Record<never, never>>('ask-alive', 'select 1 as alive');

/** A record whose handler failed or returned a verdict other than "done", and the thrown value. */
export interface FailedRecord {
  readonly record: LaneRecord;
  readonly error: unknown;
}

/** The result of a batch: the records that are done and committed, and the one that failed; the rest has not run. */
export interface BatchOutcome {
  readonly done: readonly LaneRecord[];
  readonly failed: FailedRecord | undefined;
}

/** The partition and the group of deliveries. */
export interface DeliveryLocation {
  readonly topic: string;
  readonly partition: number;
  readonly group: string;
}

/**
 * The statements that store the verdict "done", in the effect's transaction: marks or a position, and the fence.
 */
export type Verdicts = (done: readonly LaneRecord[]) => readonly BoundStatement[];

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
  /** Called with each record that starts. */
  readonly onRecord: (record: LaneRecord) => void;
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

/** Thrown internally to roll back a transaction whose first record failed. */
class NothingDoneError extends Error {
  constructor(readonly failed: FailedRecord) {
    super('the first record of a transaction failed');
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
 * verdicts, under the fence.
 */
export class DeliveryTransaction {
  constructor(
    private readonly databases: DeliveryDatabases,
    private readonly location: DeliveryLocation,
    private readonly subscription: Subscription,
    private readonly writer: VerdictWriter,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * @param attempt the number of this attempt, from 1
   * @throws FencedError if another member owns the partition
   * @throws DeliveryLostError if the connection was lost during it; on any other infrastructure failure, nothing is
   * done
   */
  async run(records: readonly LaneRecord[], attempt: number, verdicts: Verdicts): Promise<BatchOutcome> {
    const ended = new AbortController();
    const signal = AbortSignal.any([this.signal, ended.signal]);
    const afterCommit: HandOver['afterCommit'] = [];
    // Records that may have caused a connection loss: the running one, or all of them during the commit.
    let underWay: readonly LaneRecord[] = [];
    const onRecord = (record: LaneRecord): void => void (underWay = [record]);
    let outcome: BatchOutcome;
    try {
      outcome = await this.databases.transactions.run({
        work: async (transaction) => {
          const handled = await this.#handle(records, {
            attempt,
            transaction,
            signal,
            afterCommit,
            onRecord,
          });
          underWay = records;
          return handled;
        },
        timeoutMs: this.subscription.maxProcessingMs,
        last: ({ done }: BatchOutcome) => {
          this.writer.assertNotStopped();
          return this.writer.prepared(verdicts(done));
        },
      });
    } catch (error) {
      ended.abort();
      if (error instanceof NothingDoneError) return { done: [], failed: error.failed };
      if (error instanceof NotOpenedError) throw error.cause;
      const wasOpen = underWay.length > 0;
      if (error instanceof TransactionLostError || (wasOpen && isConnectionLoss(error)))
        throw new DeliveryLostError(
          underWay.map(({ offset }) => offset),
          error,
        );
      if (isInfrastructureFailure(error) || error instanceof FencedError) throw error;
      // The transaction failed as a whole (a time-out, or a failure at COMMIT such as a deferred constraint): running
      // the records one by one shows which one is at fault.
      if (records.length > 1) return this.#oneByOne(records, attempt, verdicts);
      const record = records[0] as LaneRecord;
      return { done: [], failed: { record, error: nameTimeout(error, this.#locationOf(record)) } };
    }
    // A callback that throws synchronously must not hide from the lane that all is committed.
    await Promise.allSettled(afterCommit.map(async (work) => work()));
    return outcome;
  }

  async #handle(records: readonly LaneRecord[], hand: HandOver): Promise<BatchOutcome> {
    const { transaction, afterCommit } = hand;
    const done: LaneRecord[] = [];
    for (const record of records) {
      if (this.signal.aborted)
        throw new FencedError(`The delivery of ${this.#locationOf(record)} was stopped`);
      // Settings made by the previous record's handler must not affect this one.
      if (record !== records[0]) await transaction.session.resetSession?.();
      if (records.length > 1) await runAhead(transaction.session, savepoint.set);
      const before = afterCommit.length;
      hand.onRecord(record);
      try {
        await this.#handleOne(record, hand);
      } catch (thrown) {
        // One of its statements may still be running, and every other statement would wait for it.
        if (thrown instanceof HandlerAbandonedError || thrown instanceof NotOpenedError) throw thrown;
        const error = readableThrown(thrown);
        await assertOwnFailure(error, transaction.session);
        afterCommit.length = before;
        const failed = { record, error };
        if (done.length === 0) throw new NothingDoneError(failed);
        await transaction.session.run(savepoint.goBack);
        return { done, failed };
      }
      done.push(record);
    }
    return { done, failed: undefined };
  }

  async #handleOne(
    record: LaneRecord,
    { attempt, transaction, signal, afterCommit }: HandOver,
  ): Promise<void> {
    const { topic, partition } = this.location;
    const location = this.#locationOf(record);
    const { signatures, sealer, database } = this.databases;
    signatures?.verify(topic, record.record, location);
    const opened = await openRecord(sealer, database.session, topic, record.record, location).catch(
      whyNotOpened,
    );
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

  async #oneByOne(
    records: readonly LaneRecord[],
    attempt: number,
    verdicts: Verdicts,
  ): Promise<BatchOutcome> {
    const done: LaneRecord[] = [];
    for (const record of records) {
      const outcome = await this.run([record], attempt, verdicts);
      if (outcome.failed !== undefined) return { done, failed: outcome.failed };
      done.push(record);
    }
    return { done, failed: undefined };
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
