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
import { Inbox } from '@waybill/guard';
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

/** A record whose handler failed or gave another verdict than "done", and what it threw. */
export interface FailedRecord {
  readonly record: LaneRecord;
  readonly error: unknown;
}

/** What came of a batch: the records that are done, committed; the one that failed; the rest has not been run. */
export interface BatchOutcome {
  readonly done: readonly LaneRecord[];
  readonly failed: FailedRecord | undefined;
}

/** Where and for whom deliveries are made. */
export interface DeliveryLocation {
  readonly topic: string;
  readonly partition: number;
  /** Names the group in inbox entries. */
  readonly group: string;
}

/**
 * What is written to say that records are done: marks or a position, and the fence. With their effect where that is in the
 * log's database, and else after it; nothing is written where the inbox says it all.
 */
export type Verdicts = (done: readonly LaneRecord[]) => readonly BoundStatement[];

/** The databases around a delivery. */
export interface DeliveryDatabases {
  /** Where the log, positions and marks are. */
  readonly bus: PgDatabase;
  /** Where handlers write. */
  readonly transactions: TransactionRunner;
  /** Set when handlers write to another database than the log's: names the log in inbox entries there. */
  readonly inboxFor: string | undefined;
  /** Whether verdicts are kept prepared on their connections. */
  readonly prepared: boolean;
  /** Verifies messages before their handlers run; undefined where they are not signed. */
  readonly signatures?: MessageSignatures | undefined;
  /** Decrypts messages. */
  readonly sealer: Sealer;
  /** Codecs by topic, for answers that say that a request has failed. */
  readonly codecs: Readonly<Record<string, Codec>>;
}

/** What belongs to a hand-over, apart from its record. */
interface HandOver {
  readonly attempt: number;
  readonly transaction: OpenTransaction<unknown>;
  /** Aborts when the transaction cannot be committed any more. */
  readonly signal: AbortSignal;
  /** What handlers want done when the transaction is committed. */
  readonly afterCommit: (() => Promise<unknown>)[];
  /** Told of each record that is begun. */
  readonly onRecord: (record: LaneRecord) => void;
}

/**
 * The connection was lost while these records were handled, or committed. Whether they have taken effect is unknown under
 * this owner epoch; and one of them may be what ended the connection.
 */
export class DeliveryLostError extends Error {
  override readonly name = 'DeliveryLostError';

  constructor(
    readonly offsets: readonly number[],
    cause: unknown,
  ) {
    super('the connection was lost in a delivery', { cause });
  }
}

/** Thrown inside to roll a transaction back in which the first record has failed already. */
class NothingDoneError extends Error {
  constructor(readonly failed: FailedRecord) {
    super('the first record of a transaction failed');
  }
}

/**
 * Runs the handlers of a batch in one transaction. In the log's database that transaction also says that the records
 * are done, under the fence, as its last statements; in another database it writes inbox entries, and the verdicts
 * follow in a transaction of their own.
 */
export class DeliveryTransaction {
  readonly #inbox = new Inbox();

  constructor(
    private readonly databases: DeliveryDatabases,
    private readonly location: DeliveryLocation,
    private readonly subscription: Subscription,
    private readonly writer: VerdictWriter,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * @param attempt the attempt that this is, from 1
   * @throws FencedError when the partition is another's
   * @throws DeliveryLostError when the connection was lost in it; else an infrastructure failure, after which nothing is done
   */
  async run(records: readonly LaneRecord[], attempt: number, verdicts: Verdicts): Promise<BatchOutcome> {
    const inSameDatabase = this.databases.inboxFor === undefined;
    const ended = new AbortController();
    const signal = AbortSignal.any([this.signal, ended.signal]);
    const afterCommit: HandOver['afterCommit'] = [];
    // Those that may have ended the connection: the one that runs, or all when they are committed.
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
          return inSameDatabase ? this.writer.prepared(verdicts(done)) : [];
        },
      });
    } catch (error) {
      ended.abort();
      if (error instanceof NothingDoneError) return { done: [], failed: error.failed };
      const wasOpen = underWay.length > 0;
      if (error instanceof TransactionLostError || (wasOpen && isConnectionLoss(error)))
        throw new DeliveryLostError(
          underWay.map(({ offset }) => offset),
          error,
        );
      if (isInfrastructureFailure(error) || error instanceof FencedError) throw error;
      // It failed as a whole (out of time, or at COMMIT, as by a deferred constraint): whose fault it was shows alone.
      if (records.length > 1) return this.#oneByOne(records, attempt, verdicts);
      const record = records[0] as LaneRecord;
      return { done: [], failed: { record, error: nameTimeout(error, this.#locationOf(record)) } };
    }
    // One that throws at once must not hide from the lane that all is committed.
    await Promise.allSettled(afterCommit.map(async (work) => work()));
    if (!inSameDatabase) {
      const statements = verdicts(outcome.done);
      if (statements.length > 0) await this.writer.write(statements);
    }
    return outcome;
  }

  async #handle(records: readonly LaneRecord[], hand: HandOver): Promise<BatchOutcome> {
    const { transaction, afterCommit } = hand;
    const done: LaneRecord[] = [];
    for (const record of records) {
      if (this.signal.aborted)
        throw new FencedError(`The delivery of ${this.#locationOf(record)} was stopped`);
      // What the handler of the record before has set is not this one's.
      if (record !== records[0]) await transaction.session.resetSession?.();
      if (records.length > 1) await runAhead(transaction.session, savepoint.set);
      const before = afterCommit.length;
      hand.onRecord(record);
      try {
        await this.#handleOne(record, hand);
      } catch (thrown) {
        // A statement of it may still run, and every other one would wait for that.
        if (thrown instanceof HandlerAbandonedError) throw thrown;
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
    const { inboxFor } = this.databases;
    if (inboxFor !== undefined) {
      const taken = await this.#inbox.take(transaction.session, {
        consumer: this.location.group,
        logIdentity: inboxFor,
        topic,
        partition,
        offset: record.offset,
        bucketSeq: record.bucketSeq,
      });
      if (!taken) return;
    }
    const location = this.#locationOf(record);
    const { signatures, sealer, bus } = this.databases;
    signatures?.verify(topic, record.record, location);
    const opened = await openRecord(sealer, bus.session, topic, record.record, location).catch(dropErased);
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
    // Returned or thrown, it says the same.
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

/** What was erased is not handled. @throws the verdict to drop it, or the error */
function dropErased(error: unknown): never {
  throw isWaybillError(error) && error.code === 'SUBJECT_ERASED' ? drop('its subject was erased') : error;
}

/**
 * Throws an error of a handler on when it is not the message's: when the transaction's connection is lost, or the server
 * rolled the transaction back for reasons of its own. That is asked of the transaction, not read from the error: a handler
 * also talks to other servers, and their time-outs count as attempts.
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
