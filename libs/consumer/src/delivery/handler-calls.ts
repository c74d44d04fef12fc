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
import type { Sealer } from '@waybill/log';
import { isSealedRecord, openRecord, plainRecord } from '@waybill/log/internal';
import type { Codec, MessageSignatures } from '@waybill/outbox';
import type { Delivery } from '../handler/delivery.js';
import { type BatchHandler, droppedBy, failureIn } from '../handler/batch.js';
import { drop, HandlerVerdict } from '../handler/handler-verdict.js';
import type { Handler, Subscription } from '../handler/subscription.js';
import type { LaneRecord } from '../record/lane-record.js';
import { controlOf, headersOf, keyOf, locationOf, messageIdOf } from '../record/record-fields.js';
import { readPayload } from './read-payload.js';

const askAlive = statement<[], Record<never, never>>('ask-alive', 'select 1 as alive');

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

/** The partition and the group of deliveries. */
export interface DeliveryLocation {
  readonly topic: string;
  readonly partition: number;
  readonly group: string;
}

/** The context of a delivery, apart from its record. */
export interface HandOver {
  readonly attempt: number;
  readonly transaction: OpenTransaction<unknown>;
  /** Aborts when the transaction can no longer be committed. */
  readonly signal: AbortSignal;
  /** The handlers' callbacks to run after the commit. */
  readonly afterCommit: (() => Promise<unknown>)[];
  /** Called with the index of each record that starts; undefined when all of them start. */
  readonly onStart: (index: number | undefined) => void;
  /** No handler begins later than this after the first one, in milliseconds. */
  readonly batchMs: number;
}

/** The records that were handled, and those of them that their batch handler dropped, with its reasons. */
export interface HandledRecords {
  readonly done: readonly LaneRecord[];
  readonly dropped: ReadonlyMap<LaneRecord, string>;
}

const NONE_DROPPED: ReadonlyMap<LaneRecord, string> = new Map();

/** Thrown internally to roll back a transaction because a record's handler failed. */
export class RecordFailedError extends Error {
  /** @param at the record's index; undefined if it is not known which of several has failed */
  constructor(
    readonly at: number | undefined,
    override readonly cause: unknown,
  ) {
    super('the handler of a record failed');
  }
}

/**
 * Thrown internally when a message cannot be opened now: the key of its subject is in the log or in the service's database, and
 * that one does not answer. Its handler has not run, so this says nothing about the message.
 */
export class NotOpenedError extends Error {
  constructor(override readonly cause: unknown) {
    super('the key of a message could not be read');
  }
}

/** Opens the records of a lane, and calls its handler with them, within an open transaction. */
export class HandlerCalls {
  constructor(
    private readonly databases: DeliveryDatabases,
    private readonly location: DeliveryLocation,
    private readonly subscription: Subscription,
    private readonly stopped: AbortSignal,
    private readonly clock: Clock,
  ) {}

  /**
   * Calls the handler, with one record after the other or with all of them.
   * @returns the records that were handled; the first ones, if the time of the batch was over before the last
   * @throws RecordFailedError, NotOpenedError; HandlerAbandonedError; FencedError if the lane was stopped; an infrastructure
   *   failure of the transaction
   */
  handle(records: readonly LaneRecord[], hand: HandOver): Promise<HandledRecords> {
    const { handling } = this.subscription;
    return handling.kind === 'single'
      ? this.#each(handling.handler, records, hand)
      : this.#together(handling.handler, records, hand);
  }

  async #each(handler: Handler, records: readonly LaneRecord[], hand: HandOver): Promise<HandledRecords> {
    const { session } = hand.transaction;
    const endAt = this.clock.monotonic() + hand.batchMs;
    for (const [index, record] of records.entries()) {
      this.#assertNotStopped(record);
      if (index > 0) {
        if (this.clock.monotonic() >= endAt) return { done: records.slice(0, index), dropped: NONE_DROPPED };
        // Settings made by the previous record's handler must not affect this one.
        await session.resetSession?.();
      }
      hand.onStart(index);
      try {
        const reply = await handler(await this.#deliveryOf(record, hand));
        // A returned verdict means the same as a thrown one.
        if (reply instanceof HandlerVerdict) throw reply;
        // It caught the error of a statement: nothing more can be done in this transaction, and the next one is not to blame.
        await assertNoneFailed(session);
      } catch (thrown) {
        throw new RecordFailedError(index, await ownFailure(thrown, session));
      }
    }
    return { done: records, dropped: NONE_DROPPED };
  }

  async #together(
    handler: BatchHandler,
    records: readonly LaneRecord[],
    hand: HandOver,
  ): Promise<HandledRecords> {
    const { session } = hand.transaction;
    const deliveries: Delivery[] = [];
    for (const [index, record] of records.entries()) {
      this.#assertNotStopped(record);
      hand.onStart(index);
      try {
        deliveries.push(await this.#deliveryOf(record, hand));
      } catch (thrown) {
        throw new RecordFailedError(index, await ownFailure(thrown, session));
      }
    }
    hand.onStart(undefined);
    try {
      const reply = await handler(deliveries);
      await assertNoneFailed(session);
      const dropped = droppedBy(reply, records.length);
      // The transaction of a single message ends like that of any handler: what it wrote is rolled back.
      const [first] = dropped;
      if (first !== undefined && records.length === 1) throw first.verdict;
      const reasons = dropped.map(
        ({ index, verdict }) => [records[index] as LaneRecord, verdict.reason] as const,
      );
      return { done: records, dropped: new Map(reasons) };
    } catch (thrown) {
      const { at, error } = failureIn(thrown, records.length);
      throw new RecordFailedError(at, await ownFailure(error, session));
    }
  }

  async #deliveryOf(
    record: LaneRecord,
    { attempt, transaction, signal, afterCommit }: HandOver,
  ): Promise<Delivery> {
    const { topic, partition } = this.location;
    const location = this.locationOf(record);
    const { signatures, sealer, database } = this.databases;
    signatures?.verify(topic, record.record, location);
    const opened = isSealedRecord(record.record)
      ? await openRecord(sealer, database.session, topic, record.record, location).catch(whyNotOpened)
      : plainRecord(record.record);
    return {
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
  }

  /** For error messages: `orders[3]@17`. */
  locationOf(record: LaneRecord): string {
    return locationOf(this.location.topic, this.location.partition, record.offset);
  }

  #assertNotStopped(record: LaneRecord): void {
    if (this.stopped.aborted) throw new FencedError(`The delivery of ${this.locationOf(record)} was stopped`);
  }
}

/** A message whose subject was erased is not handled. @throws the verdict to drop it, or the error */
function whyNotOpened(error: unknown): never {
  if (isInfrastructureFailure(error)) throw new NotOpenedError(error);
  throw isWaybillError(error) && error.code === 'SUBJECT_ERASED' ? drop('its subject was erased') : error;
}

/** @throws the error of a statement that has failed, whether or not the handler has caught it */
async function assertNoneFailed(session: SqlSession): Promise<void> {
  const failure = await session.failure?.();
  if (failure !== undefined) throw failure;
}

/** What a handler threw, as its message's failure. @throws what is not the message's fault */
async function ownFailure(thrown: unknown, session: SqlSession): Promise<unknown> {
  // One of its statements may still be running, and every other statement would wait for it.
  if (thrown instanceof HandlerAbandonedError || thrown instanceof NotOpenedError) throw thrown;
  const error = readableThrown(thrown);
  await assertOwnFailure(error, session);
  return error;
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
