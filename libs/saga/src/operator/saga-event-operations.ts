import { type PgDatabase, resolveOptions, wholeNumber } from '@waybill/kernel';
import { listSagaEvents } from '../statements.generated.js';

/** An event that waits for a saga, or a step that waits for an event. */
export interface SagaEventWait {
  readonly kind: 'event' | 'step';
  /** Names the service. */
  readonly replyTopic: string;
  /** Where the two meet: `type/step@topic`. */
  readonly waiter: string;
  readonly topic: string;
  /** What the two must have in common. */
  readonly match: string;
  /** Null for an event. */
  readonly sagaId: string | null;
  readonly since: Date;
  /** Until when an event is kept; null for a step. */
  readonly until: Date | null;
  /** How often an event could not be handed to the handler of events without a saga. */
  readonly failures: number;
}

const LIST = { limit: wholeNumber({ default: 100, min: 1, max: 100_000 }) };

/** What operators see of events that sagas follow, in the database of the service. */
export class SagaEventOperations {
  constructor(private readonly database: PgDatabase) {}

  /** What waits, the oldest first; of one service where its topic of answers is named. @throws ConfigurationError */
  async list(replyTopic?: string, most = 100): Promise<SagaEventWait[]> {
    const { limit } = resolveOptions('list of events', LIST, { limit: most });
    const rows = await this.database.session.run(listSagaEvents, replyTopic ?? null, limit);
    return rows.map(({ kind, ...row }) => ({
      ...row,
      kind: kind as SagaEventWait['kind'],
      topic: row.waiter.slice(row.waiter.lastIndexOf('@') + 1),
    }));
  }
}
