import { type SqlSession } from '@waybill/kernel';
import { cleanText } from '@waybill/kernel/internal';
import type { SagaEvent } from '../machine/saga-event.js';
import { keepIgnoredEvent, showSaga } from '../statements.generated.js';
import type { SagaContents } from './saga-contents.js';
import { subjectOf } from './saga-store.js';

/** Longest stored reason, in characters. */
const WHY_CHARS = 1_000;

/** Something that reached a saga and changed nothing. */
export interface IgnoredEvent {
  /** Null for an event that no saga waited for. */
  readonly sagaId: string | null;
  /** `signal`, `event`, `cancel` or `compensate`. */
  readonly kind: string;
  /** Name of the signal, the step that an event was for, or the topic of an event without a saga. */
  readonly name: string | null;
  readonly payload: unknown;
  readonly why: string;
}

/** Stores, for operators, what was sent to a saga and changed nothing: a payment that arrives after the end is money. */
export class IgnoredEvents {
  constructor(
    private readonly replyTopic: string,
    private readonly contents: SagaContents,
  ) {}

  async keep(session: SqlSession, event: IgnoredEvent, subject: string | undefined): Promise<undefined> {
    const { sagaId, kind, name, payload, why } = event;
    const key = await this.contents.keyOf(session, subject);
    const content = this.contents.seal(ignoredEventLocation(sagaId), JSON.stringify(payload ?? null), key);
    const short = cleanText(why, WHY_CHARS);
    await session.run(keepIgnoredEvent, this.replyTopic, sagaId, kind, name, short, content);
  }

  /** Stores an event for a saga that has ended. */
  async keepLate(session: SqlSession, sagaId: string, event: SagaEvent, why: string): Promise<void> {
    const kept = keptOf(sagaId, event, why);
    if (kept === undefined) return;
    const [row] = await session.run(showSaga, sagaId);
    const content = row && (await this.contents.open(session, sagaId, row.content));
    await this.keep(session, kept, content === undefined ? undefined : (subjectOf(content) ?? undefined));
  }

  /** Stores a request of the service that a active saga could not follow. */
  async keepRefused(
    session: SqlSession,
    sagaId: string,
    event: SagaEvent,
    why: string,
    subject: string | undefined,
  ): Promise<void> {
    const kept = event.type === 'signal' ? undefined : keptOf(sagaId, event, why);
    if (kept !== undefined) await this.keep(session, kept, subject);
  }
}

/** Encryption context of an ignored event. */
export function ignoredEventLocation(sagaId: string | null): string {
  return sagaId ?? 'without a saga';
}

function keptOf(sagaId: string, event: SagaEvent, why: string): IgnoredEvent | undefined {
  const { type } = event;
  if (type === 'signal') return { sagaId, kind: type, name: event.name, payload: event.payload, why };
  if (type === 'event') return { sagaId, kind: type, name: event.step, payload: event.payload, why };
  if (type !== 'cancel' && type !== 'turn') return undefined;
  const kind = type === 'turn' ? 'compensate' : 'cancel';
  return { sagaId, kind, name: null, payload: event.reason, why };
}
