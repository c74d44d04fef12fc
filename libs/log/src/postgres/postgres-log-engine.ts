import {
  type BoundStatement,
  type Clock,
  invariant,
  type Logger,
  type PgDatabase,
  systemClock,
} from '@waybill/kernel';
import type {
  AppendOptions,
  AppendStatements,
  Fetched,
  FetchLimits,
  FetchPosition,
  HandOvers,
  HandOverWithin,
  LogEngine,
  LogHistory,
  LogIdentity,
  PartitionOffsets,
} from '../engine/log-engine.js';
import type { LogSubjectKeys, WrappedKey } from '../cipher/index.js';
import type { LogSignals } from '../engine/log-signals.js';
import type { Membership, MembershipOptions } from '../engine/membership.js';
import type { Appended, ReadyBatch } from '../engine/ready-batch.js';
import type { LoggedPass, SourcePass, SourceState } from '../engine/source-pass.js';
import { TopicCopy } from '../engine/topic-copy.js';
import { Topics } from '../engine/topics.js';
import {
  askSource,
  busIdentity,
  describeMembers,
  listPasses,
  nextProducerId,
} from '../statements.generated.js';
import { appendCall, keyCalls } from './append-call.js';
import { APPENDED_TO, handOverCall, type HandedOver, type AppendedTo } from './hand-over-call.js';
import { GroupMembership } from './group-membership.js';
import { LogTail } from '../engine/log-tail.js';
import { FETCH_BYTES, LogReader } from './log-reader.js';
import { PostgresSignals } from './postgres-signals.js';
import { PostgresSubjectKeys } from './postgres-subject-keys.js';
import { PostgresTopics } from './postgres-topics.js';

/** Options of a {@link PostgresLogEngine}. */
export interface PostgresLogEngineOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
  /**
   * The database of the service that uses the log: a copy of the topics is kept there. Default: the log's own database;
   * null: none, for administration.
   */
  readonly service?: PgDatabase | null;
  /**
   * Interval at which the signals' listener sends itself a note, in milliseconds; if one is not received, it reconnects.
   * Default 10,000.
   */
  readonly proveMs?: number;
}

/** Stands for "no producer" in an append. */
const NO_PRODUCER = -1;

/** The log in PostgreSQL. The caller closes the database. */
export class PostgresLogEngine implements LogEngine {
  readonly topics: Topics;
  readonly signals: LogSignals;
  readonly subjectKeys: LogSubjectKeys;
  readonly #reader: LogReader;
  readonly #signals: PostgresSignals;
  readonly #tail: LogTail;

  constructor(
    private readonly database: PgDatabase,
    private readonly options: PostgresLogEngineOptions = {},
  ) {
    const { service = database } = options;
    const copy = service === null ? undefined : new TopicCopy(service.session);
    this.topics = new Topics(new PostgresTopics(database.session), copy);
    this.#signals = new PostgresSignals(database, options);
    this.signals = this.#signals;
    this.#tail = new LogTail(this.#signals, options.clock ?? systemClock);
    this.subjectKeys = new PostgresSubjectKeys(database.session);
    this.#reader = new LogReader(database, this.topics);
  }

  async identity(): Promise<LogIdentity> {
    const [row] = await this.database.session.run(busIdentity);
    invariant(row !== undefined, 'bus_identity returned no row');
    return row;
  }

  async append(batches: readonly ReadyBatch[], options: AppendOptions = {}): Promise<readonly Appended[]> {
    const { producerId = NO_PRODUCER, acks = 'all' } = options;
    const call = appendCall(batches, producerId, acks);
    return this.database.withConnection(async (connection) => {
      const [rows] = await connection.runBatch([call]);
      return rows as Appended[];
    });
  }

  async nextProducerId(): Promise<number> {
    const [row] = await this.database.session.run(nextProducerId);
    invariant(row !== undefined, 'a sequence returned no value');
    return row.producerId;
  }

  /** Only for the same {@link PgDatabase}: another one may be of another database, whatever its address. */
  appendWithin(database: PgDatabase): AppendStatements | undefined {
    if (database !== this.database) return undefined;
    return (batches) => [...keyCalls(batches), appendCall(batches, NO_PRODUCER, 'all')];
  }

  async askSource(serviceId: string): Promise<SourceState> {
    const [row] = await this.database.session.run(askSource, serviceId);
    invariant(row !== undefined, 'source_ask returned no row');
    return row;
  }

  async handOver(
    pass: SourcePass,
    batches: readonly ReadyBatch[],
    keys?: readonly WrappedKey[],
  ): Promise<void> {
    const { statements, committed } = this.#handOver(pass, batches, [handOverCall(pass, batches, keys)]);
    committed(await this.database.runTogether(statements));
  }

  async refusalOf(pass: SourcePass, batches: readonly ReadyBatch[]): Promise<unknown> {
    return this.database.withConnection(async (connection) => {
      try {
        await connection.runBatch([handOverCall(pass, batches)], { begin: true });
        return undefined;
      } catch (error) {
        return error;
      } finally {
        await connection.rollback();
      }
    });
  }

  handOverWithin(database: PgDatabase): HandOvers | undefined {
    if (database !== this.database) return undefined;
    return (pass, batches) =>
      this.#handOver(pass, batches, [...keyCalls(batches), handOverCall(pass, batches)]);
  }

  /** @param calls the last one hands the pass over */
  #handOver(
    { logEpoch }: SourcePass,
    batches: readonly ReadyBatch[],
    calls: readonly BoundStatement[],
  ): HandOverWithin {
    const isRead = this.#tail.isRead;
    return {
      statements: isRead ? [...calls, APPENDED_TO] : calls,
      committed: (results) => {
        const handedOver = results[calls.length - 1] as readonly HandedOver[];
        const [to] = (results[calls.length] ?? []) as readonly AppendedTo[];
        if (to === undefined || handedOver.some(({ already }) => already))
          return this.#signals.send('appended');
        const { bucketSeq, incarnation } = to;
        const appended = batches.map((batch, index) => {
          const { baseOffset } = handedOver[index] as HandedOver;
          return { ...batch, baseOffset, lastOffset: baseOffset + batch.recordCount - 1, bucketSeq };
        });
        this.#tail.add(appended, { logEpoch, incarnation });
        this.#signals.sendHandedOver();
      },
    };
  }

  passesOf(serviceId: string, fromN: number): Promise<readonly LoggedPass[]> {
    return this.database.session.run(listPasses, serviceId, fromN);
  }

  async fetch(positions: readonly FetchPosition[], limits: FetchLimits = {}): Promise<Fetched> {
    const { partitionBytes = FETCH_BYTES } = limits;
    const { fetched: kept, asked } = this.#tail.take(positions, partitionBytes);
    if (kept !== undefined && asked.length === 0 && positions.length > 0) return kept;
    const before = this.#tail.mark();
    const fetched = await this.#reader.fetch(asked, partitionBytes);
    this.#tail.learn(asked, fetched, before);
    if (kept === undefined || kept.batches.length === 0) return fetched;
    // What was kept may be of another history: it is asked for again.
    if (!isSameHistory(kept.history, fetched.history)) return { ...fetched, mayHaveMore: true };
    const mayHaveMore = kept.mayHaveMore || fetched.mayHaveMore;
    return { ...fetched, batches: [...kept.batches, ...fetched.batches], mayHaveMore };
  }

  offsets(partitionIds: readonly number[]): Promise<ReadonlyMap<number, PartitionOffsets>> {
    return this.#reader.offsets(partitionIds);
  }

  checksumsBelow(positions: readonly FetchPosition[]): Promise<ReadonlyMap<number, number>> {
    return this.#reader.checksumsBelow(positions);
  }

  cutsSince(partitionIds: readonly number[], logEpoch: number): Promise<ReadonlyMap<number, number>> {
    return this.#reader.cutsSince(partitionIds, logEpoch);
  }

  offsetsAt(partitionIds: readonly number[], timestampMs: number): Promise<ReadonlyMap<number, number>> {
    return this.#reader.offsetsAt(partitionIds, timestampMs);
  }

  async subscribedTopics(group: string): Promise<ReadonlySet<string>> {
    const members = await this.database.session.run(describeMembers, group);
    return new Set(members.flatMap(({ topics }) => topics));
  }

  join(options: MembershipOptions): Membership {
    return new GroupMembership(this.database, this.topics, this.signals, { ...this.options, ...options });
  }
}

function isSameHistory(one: LogHistory, other: LogHistory): boolean {
  return one.logEpoch === other.logEpoch && one.incarnation === other.incarnation;
}
