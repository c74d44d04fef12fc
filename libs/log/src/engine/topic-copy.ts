import type { SqlSession } from '@waybill/kernel';
import { isRightMissing } from '@waybill/kernel/internal';
import { learnTopics } from '../statements.generated.js';
import type { PartitionRow, TopicListener } from './topics.js';

/** A topic with its partitions, by number. */
interface KnownTopic {
  readonly row: PartitionRow;
  readonly partitionIds: number[];
}

/** Keeps the copy of the topics that a service's database has: publishing checks topics there, in its own transaction. */
export class TopicCopy implements TopicListener {
  /** What was stored last, by topic. */
  readonly #stored = new Map<string, string>();

  constructor(private readonly session: SqlSession) {}

  /** Stores topics that are new or have changed. A login that only publishes may not: it uses what others have stored. */
  async learn(rows: readonly PartitionRow[]): Promise<void> {
    const topics = new Map<string, KnownTopic>();
    for (const row of rows) {
      const topic = topics.get(row.topic) ?? { row, partitionIds: [] };
      topic.partitionIds[row.number] = row.partitionId;
      topics.set(row.topic, topic);
    }
    const changed = [...topics].filter(([name, topic]) => this.#stored.get(name) !== JSON.stringify(topic));
    if (changed.length === 0) return;
    try {
      await this.#store(changed.map(([, topic]) => topic));
    } catch (error) {
      if (!isRightMissing(error)) throw error;
    }
    for (const [name, topic] of changed) this.#stored.set(name, JSON.stringify(topic));
  }

  async #store(topics: readonly KnownTopic[]): Promise<void> {
    await this.session.run(
      learnTopics,
      topics.map(({ row }) => row.topicId),
      topics.map(({ row }) => row.topic),
      topics.map(({ partitionIds }) => partitionIds.length),
      topics.map(({ row }) => row.retentionMs),
      topics.map(({ row }) => row.onDeadLetter),
      topics.map(({ row }) => row.onExpired),
      topics.map(({ row }) => row.backlogMaxMessages),
      topics.map(({ row }) => row.backlogMaxBytes),
      topics.flatMap(({ partitionIds }) => partitionIds),
    );
  }
}
