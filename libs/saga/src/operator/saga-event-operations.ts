import { type PgDatabase, resolveOptions, wholeNumber } from '@waybill/kernel';
import { listSagaEvents } from '../statements.generated.js';

/** An event that waits for a saga, or a step that waits for an event. */
export interface SagaEventWait {
  readonly kind: 'event' | 'step';
  /** Identifies the service. */
  readonly replyTopic: string;
  /** What matches the two: `type/step@topic`. */
  readonly waiter: string;
  readonly topic: string;
  /** The match value that both must have. */
  readonly match: string;
  /** Null for an event. */
  readonly sagaId: string | null;
  readonly since: Date;
  /** When an event expires; null for a step. */
  readonly until: Date | null;
  /** Failed deliveries of an event to the handler of events without a saga. */
  readonly failures: number;
}

const LIST = { limit: wholeNumber({ default: 100, min: 1, max: 100_000 }) };

/** Lists the events that sagas wait for, in the database of the service. */
export class SagaEventOperations {
  constructor(private readonly database: PgDatabase) {}

  /** Waiting events and steps, the oldest first; of one service if its reply topic is given. @throws ConfigurationError */
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
