import {
  type BoundStatement,
  bindStatement,
  NotFoundError,
  type Operator,
  type PgDatabase,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { Sealer } from '@waybill/log';
import { readableMessage } from '@waybill/log/internal';
import { type OperatorAction, operatorAction, operatorActions } from '@waybill/dead-letter';
import {
  countQuarantined,
  discardQuarantined,
  listQuarantined,
  quarantineBacklogs,
  quarantinedContent,
  requeueQuarantined,
} from '../statements.generated.js';

/** Selects messages; an omitted field matches everything. */
export interface QuarantineFilter {
  readonly ids?: readonly number[];
  readonly topic?: string;
  /** Code of the reason, e.g. `TOPIC_UNKNOWN`. */
  readonly code?: string;
  /** The publishing login. */
  readonly role?: string;
}

/** A message that could not be moved, or delivered when due, without its content. */
export interface QuarantinedMessage {
  readonly id: number;
  readonly quarantinedAt: Date;
  readonly origin: 'outbox' | 'timer';
  readonly code: string;
  readonly reason: string;
  /** The publishing login; empty if not known. */
  readonly role: string;
  readonly messageId: string;
  readonly topic: string;
  readonly partition: number | null;
  readonly key: string | null;
  readonly bytes: number;
  /** As in the outbox; null for a message to be delivered immediately. */
  readonly timerAction: number | null;
  readonly deliverAt: Date | null;
  readonly timerToken: string | null;
  readonly publishedAt: Date;
}

/** A quarantined message with its content. */
export interface QuarantinedContent extends QuarantinedMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer | null;
  /** Why it cannot be decrypted: code and message; null if it is readable. */
  readonly unreadable: string | null;
}

/** The number of quarantined messages of one topic and reason; counted up to 100,000 in all. */
export interface QuarantineBacklog {
  readonly topic: string;
  readonly code: string;
  readonly messages: number;
  readonly oldestAgeMs: number;
}

const PAGE = {
  after: wholeNumber({ default: 0, min: 0, max: Number.MAX_SAFE_INTEGER }),
  limit: wholeNumber({ default: 100, min: 1, max: 100_000 }),
};
/** The most messages decided in one transaction. */
const STEP = 500;
const KIND = 'quarantined';

/** Messages that the relay or a timer has set aside. Every decision is recorded with who made it and why. */
export class OutboxQuarantine {
  /** @param sealer decrypts content for display. Default: one without a cipher */
  constructor(
    private readonly database: PgDatabase,
    private readonly sealer: Sealer = Sealer.none,
  ) {}

  /** Lists matching messages by id. @param page at most `limit` (default 100) after the id `after` */
  async list(
    filter: QuarantineFilter = {},
    page: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<QuarantinedMessage[]> {
    const { after, limit } = resolveOptions('page of quarantined messages', PAGE, page);
    const rows = await this.database.session.run(listQuarantined, ...paramsOf(filter), after, limit);
    return rows.map((row) => ({ ...row, origin: row.origin as QuarantinedMessage['origin'] }));
  }

  /** Counts matching messages. */
  async count(filter: QuarantineFilter = {}): Promise<number> {
    const [row] = await this.database.session.run(countQuarantined, ...paramsOf(filter));
    return row?.count ?? 0;
  }

  /** Counts by topic and reason, largest first. */
  async backlogs(most = 50): Promise<QuarantineBacklog[]> {
    return this.database.session.run(quarantineBacklogs, most);
  }

  /** One message with its content. @throws NotFoundError */
  async show(id: number): Promise<QuarantinedContent> {
    const [message] = await this.list({ ids: [id] });
    const [content] = await this.database.session.run(quarantinedContent, id);
    if (message === undefined || content === undefined) throw new NotFoundError(`quarantined message ${id}`);
    const headers = JSON.parse(content.headers ?? '{}') as Record<string, string>;
    const stored = { ...message, id: message.messageId, headers, payload: content.payload };
    const what = `quarantined message ${id}`;
    return { ...(await readableMessage(this.sealer, this.database.session, stored, what)), id };
  }

  /**
   * Publishes matching messages again, after all published since, in the order in which they were set aside.
   * @returns their number
   * @throws TopicUnknownError, MessageInvalidError for a message that still cannot be moved: its step of 500 stays
   *   unchanged
   */
  async redrive(filter: QuarantineFilter, operator: Operator): Promise<number> {
    return this.#decide(filter, (ids) => bindStatement(requeueQuarantined, ids), 'redrive', operator);
  }

  /** Removes matching messages. @returns their number */
  async discard(filter: QuarantineFilter, operator: Operator & { readonly reason: string }): Promise<number> {
    return this.#decide(filter, (ids) => bindStatement(discardQuarantined, ids), 'discard', operator);
  }

  /** Operators' actions on one message, newest first. */
  async actions(id: number): Promise<OperatorAction[]> {
    return operatorActions(this.database.session, { kind: KIND, id: String(id) });
  }

  async #decide(
    filter: QuarantineFilter,
    decide: (ids: readonly number[]) => BoundStatement,
    action: string,
    operator: Operator,
  ): Promise<number> {
    let decided = 0;
    for (let after = 0; ;) {
      const found = await this.list(filter, { after, limit: STEP });
      const last = found.at(-1);
      if (last === undefined) return decided;
      after = last.id;
      decided += await this.database.transaction(async (connection) => {
        const [rows] = await connection.runBatch([decide(found.map(({ id }) => id))]);
        const ids = new Set((rows as { id: number }[]).map(({ id }) => id));
        // Other operators may have decided some in the meantime.
        const done = found.filter(({ id }) => ids.has(id));
        await connection.runBatch(
          done.map(({ id, messageId, topic, code, role }) =>
            operatorAction(
              operator,
              action,
              { kind: KIND, id: String(id) },
              { messageId, topic, code, role },
            ),
          ),
        );
        return done.length;
      });
    }
  }
}

function paramsOf({ ids, topic, code, role }: QuarantineFilter) {
  return [ids ?? null, topic ?? null, code ?? null, role ?? null] as const;
}
