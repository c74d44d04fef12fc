import { type Clock, invariant, type Logger, type PgDatabase } from '@waybill/kernel';
import { databaseIdentity } from '@waybill/schema';
import type {
  AppendOptions,
  AppendStatement,
  Fetched,
  FetchLimits,
  FetchPosition,
  LogEngine,
  PartitionOffsets,
} from '../engine/log-engine.js';
import type { LogSignals } from '../engine/log-signals.js';
import type { Membership, MembershipOptions } from '../engine/membership.js';
import type { Appended, ReadyBatch } from '../engine/ready-batch.js';
import { Topics } from '../engine/topics.js';
import { nextProducerId } from '../statements.generated.js';
import { appendCall } from './append-call.js';
import { GroupMembership } from './group-membership.js';
import { LogReader } from './log-reader.js';
import { PostgresSignals } from './postgres-signals.js';
import { PostgresTopics } from './postgres-topics.js';

/** Options of a {@link PostgresLogEngine}. */
export interface PostgresLogEngineOptions {
  readonly logger?: Logger;
  readonly clock?: Clock;
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
  readonly #reader: LogReader;

  constructor(
    private readonly database: PgDatabase,
    private readonly options: PostgresLogEngineOptions = {},
  ) {
    this.topics = new Topics(new PostgresTopics(database.session));
    this.signals = new PostgresSignals(database, options);
    this.#reader = new LogReader(database, this.topics);
  }

  identity(): Promise<string> {
    return databaseIdentity(this.database.session);
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
  appendWithin(database: PgDatabase): AppendStatement | undefined {
    if (database !== this.database) return undefined;
    return (batches) => appendCall(batches, NO_PRODUCER, 'all');
  }

  fetch(positions: readonly FetchPosition[], limits?: FetchLimits): Promise<Fetched> {
    return this.#reader.fetch(positions, limits);
  }

  offsets(partitionIds: readonly number[]): Promise<ReadonlyMap<number, PartitionOffsets>> {
    return this.#reader.offsets(partitionIds);
  }

  offsetsAt(partitionIds: readonly number[], timestampMs: number): Promise<ReadonlyMap<number, number>> {
    return this.#reader.offsetsAt(partitionIds, timestampMs);
  }

  join(options: MembershipOptions): Membership {
    return new GroupMembership(this.database, this.topics, this.signals, { ...this.options, ...options });
  }
}
