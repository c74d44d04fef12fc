import {
  ConfigurationError,
  MessageInvalidError,
  TopicNameInvalidError,
  TopicUnknownError,
} from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';

/**
 * What happens to the messages after a dead letter: `unblock`: they are handled; `park`: those of its key wait until
 * an operator has redriven or discarded it; `block`: all of its partition wait.
 */
export type OnDeadLetter = 'unblock' | 'park' | 'block';

/** What happens to a message after its `expiresAt`: it becomes a dead letter, or is dropped and counted. */
export type OnExpired = 'dead-letter' | 'drop';

/** A topic and the ids of its partitions, by partition number. */
export interface Topic {
  readonly name: string;
  /** Minimum retention of its records, in milliseconds. */
  readonly retentionMs: number;
  readonly onDeadLetter: OnDeadLetter;
  readonly onExpired: OnExpired;
  readonly partitionIds: readonly number[];
}

/** Settings of a topic that can be changed later. Consumers read them when they open a partition. */
export interface TopicSettings {
  /** Minimum retention of records, in milliseconds. Default 7 days. */
  readonly retentionMs?: number;
  /** Default `unblock`. */
  readonly onDeadLetter?: OnDeadLetter;
  /** Default `dead-letter`. */
  readonly onExpired?: OnExpired;
  /**
   * While this many messages of the topic, or more, wait in the outbox, further ones are refused with OutboxFullError;
   * 0 for no limit; up to 1,000,000. Default no limit. Measured every second: some more may get through.
   */
  readonly backlogMaxMessages?: number;
  /** The same limit in bytes of payloads and keys. */
  readonly backlogMaxBytes?: number;
}

/** Settings of a new topic. */
export interface TopicOptions extends TopicSettings {
  /** Number of partitions, 1 to 4,096; a key always maps to the same one. Default 4. */
  readonly partitions?: number;
}

/** A new topic with its defaults filled in. */
export type NewTopic = TopicOptions &
  Required<Pick<TopicOptions, 'partitions' | 'retentionMs' | 'onDeadLetter' | 'onExpired'>>;

/** A partition, with its topic's settings, as an engine lists it. */
export interface PartitionRow {
  readonly topicId: number;
  readonly topic: string;
  readonly retentionMs: number;
  readonly onDeadLetter: string;
  readonly onExpired: string;
  readonly backlogMaxMessages: number | null;
  readonly backlogMaxBytes: number | null;
  readonly number: number;
  readonly partitionId: number;
}

/** Is told what the log says of topics, before anyone else uses it. */
export interface TopicListener {
  learn(rows: readonly PartitionRow[]): Promise<void>;
  /** Takes nothing any more for something that it has been told. */
  forget(): void;
  /** Every partition of every topic that it was told of. */
  recall(): Promise<readonly PartitionRow[]>;
}

/** Where an engine keeps its topics. Names and settings have been checked. */
export interface TopicStore {
  /** Creates a topic and its partitions; an existing one is left unchanged. */
  create(name: string, topic: NewTopic): Promise<void>;
  /** Creates topics again, under the ids that they had; existing ones are left unchanged. */
  restore(rows: readonly PartitionRow[]): Promise<void>;
  /** Changes settings of a topic; omitted ones stay unchanged. Resolves to false if it does not exist. */
  configure(name: string, settings: TopicSettings): Promise<boolean>;
  /** Every partition of every topic. */
  list(): Promise<readonly PartitionRow[]>;
  /** All partitions of the topics that some partitions belong to. */
  listOf(partitionIds: readonly number[]): Promise<readonly PartitionRow[]>;
  /** The number of topics, read from the log each time. */
  count(): Promise<number>;
}

const DEFAULT_PARTITIONS = 4;
const DEFAULT_RETENTION_MS = 7 * 24 * 3_600_000;
const MOST_BACKLOG = { backlogMaxMessages: 1_000_000, backlogMaxBytes: Number.MAX_SAFE_INTEGER } as const;
const LONGEST_RETENTION_MS = 100 * 365 * 24 * 3_600_000;

/** @throws TopicNameInvalidError unless `name` is 1 to 249 characters of `A-Z a-z 0-9 . _ -`, and not `.` or `..` */
export function assertTopicName(name: string): void {
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]{1,249}$/.test(name) || name === '.' || name === '..') {
    throw new TopicNameInvalidError(name);
  }
}

/** Creates topics, and caches the existing ones. Topics are never removed, and their partitions never change. */
export class Topics {
  #known = new Map<string, Topic>();
  #byPartition = new Map<number, { topic: string; number: number }>();

  /** @param listener told of all that is read */
  constructor(
    private readonly store: TopicStore,
    private readonly listener?: TopicListener,
  ) {}

  /**
   * Creates a topic; an existing one is left unchanged. One that the service remembers and the log lacks, because the log was
   * restored to an earlier state, is created as it was.
   * @throws TopicNameInvalidError, ConfigurationError
   */
  async create(name: string, options: TopicOptions = {}): Promise<Topic> {
    assertTopicName(name);
    const { partitions = DEFAULT_PARTITIONS, retentionMs = DEFAULT_RETENTION_MS } = options;
    const { onDeadLetter = 'unblock', onExpired = 'dead-letter' } = options;
    const problems = problemsOf({ ...options, retentionMs, onDeadLetter, onExpired });
    if (!Number.isSafeInteger(partitions) || partitions < 1 || partitions > 4096) {
      problems.unshift(`partitions must be a whole number from 1 to 4096, got ${show(partitions)}`);
    }
    if (problems.length > 0) throw new ConfigurationError(`Topic ${name} cannot be created`, problems);
    if (this.#known.has(name) || !(await this.restore()) || !this.#known.has(name))
      await this.store.create(name, { ...options, partitions, retentionMs, onDeadLetter, onExpired });
    return this.get(name);
  }

  /**
   * Creates the topics that the service remembers and the log lacks, under the ids that they had: the log was restored to
   * an earlier state.
   * @returns whether there were any
   * @throws BusMismatchError when the log has given their ids to others since
   */
  async restore(): Promise<boolean> {
    const remembered = (await this.listener?.recall()) ?? [];
    if (remembered.length === 0) return false;
    await this.list();
    const lost = remembered.filter(({ topic }) => !this.#known.has(topic));
    if (lost.length === 0) return false;
    await this.store.restore(lost);
    await this.list();
    return true;
  }

  /**
   * Changes settings of a topic; omitted ones stay unchanged.
   * @throws TopicUnknownError, ConfigurationError
   */
  async configure(name: string, settings: TopicSettings): Promise<Topic> {
    const problems = problemsOf(settings);
    if (problems.length > 0) throw new ConfigurationError(`Topic ${name} cannot be changed`, problems);
    if (!(await this.store.configure(name, settings))) throw new TopicUnknownError(name);
    await this.list();
    return this.get(name);
  }

  /** @throws TopicUnknownError when it does not exist */
  async get(name: string): Promise<Topic> {
    const topic = await this.find(name);
    if (topic === undefined) throw new TopicUnknownError(name);
    return topic;
  }

  /** The topic, or undefined when it does not exist. Asks the log only for a name not seen yet. */
  async find(name: string): Promise<Topic | undefined> {
    if (!this.#known.has(name)) await this.list();
    return this.#known.get(name);
  }

  /** The topic, if it has been seen before; runs no query. */
  peek(name: string): Topic | undefined {
    return this.#known.get(name);
  }

  /**
   * The topic of a message, if it has been seen before and has the requested partition; runs no query.
   * @throws TopicUnknownError, MessageInvalidError
   */
  place(message: { readonly id: Buffer; readonly topic: string; readonly partition: number | null }): Topic {
    const { id, partition } = message;
    const topic = this.peek(message.topic);
    if (topic === undefined) throw new TopicUnknownError(message.topic);
    const count = topic.partitionIds.length;
    if (topic.partitionIds[partition ?? 0] === undefined) {
      const problem = `partition ${partition} was requested, but the topic has ${count}, counted from 0`;
      throw new MessageInvalidError(id.toString('latin1'), message.topic, problem);
    }
    return topic;
  }

  /** The topic and number of a partition id. Known for every topic that has been seen. */
  locate(partitionId: number): { topic: string; number: number } | undefined {
    return this.#byPartition.get(partitionId);
  }

  /** Tells the service of every topic again: its database may have lost what it was told last. */
  async tellAgain(): Promise<void> {
    this.listener?.forget();
    await this.list();
  }

  /** Every existing topic. */
  async list(): Promise<Topic[]> {
    const found = await this.#learn(await this.store.list());
    this.#known = found;
    return [...found.values()];
  }

  /** The topics that partitions belong to, by name; read again, since settings of topics may have changed. */
  async refresh(partitionIds: readonly number[]): Promise<ReadonlyMap<string, Topic>> {
    const found = await this.#learn(await this.store.listOf(partitionIds));
    for (const [name, topic] of found) this.#known.set(name, topic);
    return found;
  }

  /** The number of topics. */
  count(): Promise<number> {
    return this.store.count();
  }

  /**
   * Those of the names that are topics, by name in order. Asks the log at most once, for names not seen yet.
   */
  async findAll(names: ReadonlySet<string>): Promise<ReadonlyMap<string, Topic>> {
    for (const name of names) {
      if (this.#known.has(name)) continue;
      await this.list();
      break;
    }
    const found = new Map<string, Topic>();
    for (const name of [...names].toSorted()) {
      const topic = this.#known.get(name);
      if (topic !== undefined) found.set(name, topic);
    }
    return found;
  }

  async #learn(rows: readonly PartitionRow[]): Promise<Map<string, Topic>> {
    await this.listener?.learn(rows);
    const found = new Map<string, Topic & { partitionIds: number[] }>();
    for (const row of rows) {
      let topic = found.get(row.topic);
      if (topic === undefined) {
        const onDeadLetter = row.onDeadLetter as OnDeadLetter;
        const onExpired = row.onExpired as OnExpired;
        topic = { name: row.topic, retentionMs: row.retentionMs, onDeadLetter, onExpired, partitionIds: [] };
        found.set(row.topic, topic);
      }
      topic.partitionIds[row.number] = row.partitionId;
      if (!this.#byPartition.has(row.partitionId))
        this.#byPartition.set(row.partitionId, { topic: row.topic, number: row.number });
    }
    return found;
  }
}

function problemsOf({ retentionMs, onDeadLetter, onExpired, ...limits }: TopicSettings): string[] {
  const problems: string[] = [];
  for (const [name, most] of Object.entries(MOST_BACKLOG)) {
    const value = limits[name as keyof typeof MOST_BACKLOG];
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 0 || value > most))
      problems.push(`${name} must be a whole number from 0 to ${most}, got ${show(value)}`);
  }
  if (
    retentionMs !== undefined &&
    (!Number.isSafeInteger(retentionMs) || retentionMs < 1_000 || retentionMs > LONGEST_RETENTION_MS)
  ) {
    problems.push(`retentionMs must be a whole number from 1000 to 100 years, got ${show(retentionMs)}`);
  }
  if (onDeadLetter !== undefined && !['unblock', 'park', 'block'].includes(onDeadLetter)) {
    problems.push(`onDeadLetter must be one of unblock, park, block, got ${show(onDeadLetter)}`);
  }
  if (onExpired !== undefined && !['dead-letter', 'drop'].includes(onExpired)) {
    problems.push(`onExpired must be one of dead-letter, drop, got ${show(onExpired)}`);
  }
  return problems;
}
