import type { SqlSession } from '@waybill/kernel';
import { topicColumns } from '../engine/topic-copy.js';
import type { NewTopic, PartitionRow, TopicSettings, TopicStore } from '../engine/topics.js';
import { channelOf } from './postgres-signals.js';
import {
  configureTopic,
  countTopics,
  createTopic,
  listPartitions,
  listPartitionsOf,
  restoreTopics,
} from '../statements.generated.js';

/** Topics as rows. */
export class PostgresTopics implements TopicStore {
  constructor(private readonly session: SqlSession) {}

  async create(name: string, topic: NewTopic): Promise<void> {
    await this.session.run(
      createTopic,
      name,
      topic.partitions,
      topic.retentionMs,
      topic.onDeadLetter,
      topic.onExpired,
      topic.backlogMaxMessages || null,
      topic.backlogMaxBytes || null,
      channelOf(this.session.schema),
    );
  }

  async restore(rows: readonly PartitionRow[]): Promise<void> {
    await this.session.run(restoreTopics, ...topicColumns(rows));
  }

  async configure(name: string, settings: TopicSettings): Promise<boolean> {
    const changed = await this.session.run(
      configureTopic,
      name,
      settings.retentionMs ?? null,
      settings.onDeadLetter ?? null,
      settings.onExpired ?? null,
      settings.backlogMaxMessages ?? null,
      settings.backlogMaxBytes ?? null,
    );
    return changed.length > 0;
  }

  list(): Promise<readonly PartitionRow[]> {
    return this.session.run(listPartitions);
  }

  listOf(partitionIds: readonly number[]): Promise<readonly PartitionRow[]> {
    return this.session.run(listPartitionsOf, partitionIds);
  }

  async count(): Promise<number> {
    return (await this.session.run(countTopics))[0]?.count ?? 0;
  }
}
