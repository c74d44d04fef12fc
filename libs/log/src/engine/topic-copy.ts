import type { SqlSession } from '@waybill/kernel';
import { isRightMissing } from '@waybill/kernel/internal';
import { learnTopics, recallTopics } from '../statements.generated.js';
import type { PartitionRow, TopicListener } from './topics.js';

/** Keeps the copy of the topics that a service's database has: publishing checks topics there, in its own transaction. */
export class TopicCopy implements TopicListener {
  /** What was stored last, by topic. */
  readonly #stored = new Map<string, string>();

  constructor(private readonly session: SqlSession) {}

  /** Stores topics that are new or have changed. A login that only publishes may not: it uses what others have stored. */
  async learn(rows: readonly PartitionRow[]): Promise<void> {
    const topics = byTopic(rows);
    const changed = [...topics].filter(
      ([name, partitions]) => this.#stored.get(name) !== JSON.stringify(partitions),
    );
    if (changed.length === 0) return;
    const columns = topicColumns(changed.flatMap(([, partitions]) => partitions));
    await unlessForbidden(() => this.session.run(learnTopics, ...columns), undefined);
    for (const [name, partitions] of changed) this.#stored.set(name, JSON.stringify(partitions));
  }

  forget(): void {
    this.#stored.clear();
  }

  /** What is stored; nothing for a login that may not read it. */
  recall(): Promise<readonly PartitionRow[]> {
    return unlessForbidden(() => this.session.run(recallTopics), []);
  }
}

/** Topics as columns, and the ids of their partitions in order of topics and numbers. */
export function topicColumns(rows: readonly PartitionRow[]) {
  const topics = [...byTopic(rows).values()];
  const firsts = topics.flatMap(([first]) => first ?? []);
  return [
    firsts.map(({ topicId }) => topicId),
    firsts.map(({ topic }) => topic),
    topics.map((partitions) => partitions.length),
    firsts.map(({ retentionMs }) => retentionMs),
    firsts.map(({ onDeadLetter }) => onDeadLetter),
    firsts.map(({ onExpired }) => onExpired),
    firsts.map(({ backlogMaxMessages }) => backlogMaxMessages),
    firsts.map(({ backlogMaxBytes }) => backlogMaxBytes),
    topics.flatMap((partitions) => partitions.map(({ partitionId }) => partitionId)),
  ] as const;
}

/** The partitions of each topic, by number. */
function byTopic(rows: readonly PartitionRow[]): Map<string, PartitionRow[]> {
  const topics = new Map<string, PartitionRow[]>();
  for (const row of rows) {
    const partitions = topics.get(row.topic) ?? [];
    partitions[row.number] = row;
    topics.set(row.topic, partitions);
  }
  return topics;
}

async function unlessForbidden<T>(work: () => Promise<T>, otherwise: T): Promise<T>;
async function unlessForbidden(work: () => Promise<unknown>, otherwise: undefined): Promise<void>;
async function unlessForbidden<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isRightMissing(error)) throw error;
    return otherwise;
  }
}
