import {
  type BoundStatement,
  FencedError,
  isInfrastructureFailure,
  type OpenTransaction,
  type PgDatabase,
  runAhead,
  savepointOf,
  type TransactionRunner,
} from '@waybill/kernel';
import { InboxGuard } from '@waybill/inbox';
import type { PartitionProgress } from '@waybill/log';
import { type Delivery, headersOf, type LaneRecord, messageIdOf, payloadOf, placeOf } from './delivery.js';
import { nameTimeout } from './failure.js';
import type { Subscription } from './subscription.js';
import { HandlerVerdict } from './verdict.js';

const savepoint = savepointOf('delivery');

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
export interface DeliveryPlace {
  readonly topic: string;
  readonly partition: number;
  /** Names the group in inbox entries. */
  readonly group: string;
  readonly progress: PartitionProgress;
}

/**
 * What is written to say that records are done: marks or a position, and the fence. With their effect where that is in the
 * log's database, and else behind it; nothing is written where the inbox says it all.
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
}

/** What a hand-over has beside its record. */
interface HandOver {
  readonly attempt: number;
  readonly transaction: OpenTransaction<unknown>;
  /** Aborts when the transaction cannot be committed any more. */
  readonly signal: AbortSignal;
  /** What handlers want done when the transaction is committed. */
  readonly afterCommit: (() => Promise<unknown>)[];
}

/** Thrown inside to roll a transaction back in which the first record has failed already. */
class NothingDone extends Error {
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
  readonly #inbox = new InboxGuard();

  constructor(
    private readonly databases: DeliveryDatabases,
    private readonly place: DeliveryPlace,
    private readonly subscription: Subscription,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * @param attempt the attempt that this is, from 1
   * @throws FencedError when the partition is another's; an infrastructure failure, after which nothing is done
   */
  async run(records: readonly LaneRecord[], attempt: number, verdicts: Verdicts): Promise<BatchOutcome> {
    const inSameDatabase = this.databases.inboxFor === undefined;
    const ended = new AbortController();
    const signal = AbortSignal.any([this.signal, ended.signal]);
    const afterCommit: HandOver['afterCommit'] = [];
    let outcome: BatchOutcome;
    try {
      outcome = await this.databases.transactions.run({
        work: (transaction) => this.#handle(records, { attempt, transaction, signal, afterCommit }),
        timeoutMs: this.subscription.maxProcessingMs,
        ...(inSameDatabase ? { last: ({ done }: BatchOutcome) => this.#prepared(verdicts(done)) } : {}),
      });
    } catch (error) {
      ended.abort();
      if (error instanceof NothingDone) return { done: [], failed: error.failed };
      if (isInfrastructureFailure(error) || error instanceof FencedError) throw error;
      // It failed as a whole (out of time, or at COMMIT, as by a deferred constraint): whose fault it was shows alone.
      if (records.length > 1) return this.#oneByOne(records, attempt, verdicts);
      const record = records[0] as LaneRecord;
      return { done: [], failed: { record, error: nameTimeout(error, this.#placeOf(record)) } };
    }
    await Promise.allSettled(afterCommit.map((work) => work()));
    if (!inSameDatabase) {
      const statements = verdicts(outcome.done);
      if (statements.length > 0) await this.settle(statements);
    }
    return outcome;
  }

  /** Writes verdicts in a transaction of their own, in the log's database. */
  async settle(statements: readonly BoundStatement[]): Promise<void> {
    await this.databases.bus.runTogether(this.#prepared(statements));
  }

  /** Parsing and planning them each time costs a small handler a sixth of its rate. */
  #prepared(statements: readonly BoundStatement[]): BoundStatement[] {
    return statements.map((statement) => ({ ...statement, prepared: this.databases.prepared }));
  }

  async #handle(records: readonly LaneRecord[], hand: HandOver): Promise<BatchOutcome> {
    const { transaction, afterCommit } = hand;
    const done: LaneRecord[] = [];
    for (const record of records) {
      if (this.signal.aborted) throw new FencedError(`The delivery of ${this.#placeOf(record)} was stopped`);
      // What the handler of the record before has set is not this one's.
      if (record !== records[0]) transaction.session.resetSession?.();
      if (records.length > 1) await runAhead(transaction.session, savepoint.set);
      const before = afterCommit.length;
      try {
        await this.#handleOne(record, hand);
      } catch (error) {
        if (isInfrastructureFailure(error)) throw error;
        afterCommit.length = before;
        const failed = { record, error };
        if (done.length === 0) throw new NothingDone(failed);
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
    const { topic, partition } = this.place;
    const { inboxFor } = this.databases;
    if (inboxFor !== undefined) {
      const taken = await this.#inbox.take(transaction.session, {
        consumer: this.place.group,
        logIdentity: inboxFor,
        topic,
        partition,
        offset: record.offset,
        bucketSeq: record.bucketSeq,
      });
      if (!taken) return;
    }
    const delivery: Delivery = {
      topic,
      partition,
      offset: record.offset,
      key: record.key,
      headers: headersOf(record.record),
      messageId: messageIdOf(record.record),
      timestamp: new Date(record.record.timestampMs),
      attempt,
      isRedriven: record.isRedriven === true,
      payload: payloadOf(record.record, this.subscription, this.#placeOf(record)),
      transaction: transaction.handle,
      session: transaction.session,
      signal,
      afterCommit: (work) => afterCommit.push(work),
    };
    const answer = await this.subscription.handler(delivery);
    // Returned or thrown, it says the same.
    if (answer instanceof HandlerVerdict) throw answer;
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

  #placeOf(record: LaneRecord): string {
    return placeOf(this.place.topic, this.place.partition, record.offset);
  }
}
