import type { SqlSession } from '@waybill/kernel';
import {
  outboxBacklog as outboxBacklogStatement,
  outboxBacklogs as outboxBacklogsStatement,
  outboxSize as outboxSizeStatement,
} from '../statements.generated.js';

/** The messages that wait in the outbox for the relay. */
export interface OutboxBacklog {
  /** Committed messages that have not been moved; counted up to 100,000. */
  readonly waiting: number;
  /** Age of the oldest of them, in milliseconds; null when none waits. */
  readonly oldestAgeMs: number | null;
}

/** The waiting messages of one topic, published by one login of the database. */
export interface TopicBacklog {
  readonly topic: string;
  readonly role: string;
  readonly waiting: number;
  /** Bytes of payloads and keys. */
  readonly bytes: number;
  readonly oldestAgeMs: number;
  /** Why further messages of the topic are refused; null when they are not. */
  readonly full: string | null;
}

/** Reads the outbox's backlog: the first figure to watch. */
export async function outboxBacklog(session: SqlSession): Promise<OutboxBacklog> {
  const [row] = await session.run(outboxBacklogStatement);
  return row ?? { waiting: 0, oldestAgeMs: null };
}

/**
 * Reads the backlog by topic and role, largest first; counts at most 100,000 messages and returns at most `most` rows.
 */
export async function outboxBacklogs(session: SqlSession, most = 50): Promise<TopicBacklog[]> {
  return session.run(outboxBacklogsStatement, most);
}

/** Reads the outbox's size on disk in bytes, including messages that have been moved. */
export async function outboxSize(session: SqlSession): Promise<number> {
  const [row] = await session.run(outboxSizeStatement);
  return row?.bytes ?? 0;
}
