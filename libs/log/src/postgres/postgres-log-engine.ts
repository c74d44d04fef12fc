import { type Clock, invariant, type Logger, type PgDatabase } from '@waybill/kernel';
import type {
  AppendOptions,
  AppendStatements,
  Fetched,
  FetchLimits,
  FetchPosition,
  HandOverStatements,
  LogEngine,
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
import { handOverCall } from './hand-over-call.js';
import { GroupMembership } from './group-membership.js';
import { LogReader } from './log-reader.js';
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

  constructor(
    private readonly database: PgDatabase,
    private readonly options: PostgresLogEngineOptions = {},
  ) {
    const { service = database } = options;
    const copy = service === null ? undefined : new TopicCopy(service.session);
    this.topics = new Topics(new PostgresTopics(database.session), copy);
    this.signals = new PostgresSignals(database, options);
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
    await this.database.runTogether([handOverCall(pass, batches, keys)]);
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

  handOverWithin(database: PgDatabase): HandOverStatements | undefined {
    if (database !== this.database) return undefined;
    return (pass, batches) => [...keyCalls(batches), handOverCall(pass, batches)];
  }

  passesOf(serviceId: string, fromN: number): Promise<readonly LoggedPass[]> {
    return this.database.session.run(listPasses, serviceId, fromN);
  }

  fetch(positions: readonly FetchPosition[], limits?: FetchLimits): Promise<Fetched> {
    return this.#reader.fetch(positions, limits);
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
