import type { SqlSession } from '@waybill/kernel';
import { outboxBacklog as outboxBacklogStatement } from './statements.generated.js';

/** What waits in the outbox for the relay. */
export interface OutboxBacklog {
  /** Committed messages that have not been moved; counted up to 100,000. */
  readonly waiting: number;
  /** Age of the oldest of them, in milliseconds; null when none waits. */
  readonly oldestAgeMs: number | null;
}

/** Reads how much waits in the outbox: the first figure to watch. */
export async function outboxBacklog(session: SqlSession): Promise<OutboxBacklog> {
  const [row] = await session.run(outboxBacklogStatement);
  return row ?? { waiting: 0, oldestAgeMs: null };
}
