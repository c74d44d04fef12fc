import { type SqlSession, SubjectErasedError } from '@waybill/kernel';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import { awaitEvent, expireEvent, forgetEvent, seeWait, takeEvent } from '../statements.generated.js';
import type { SagaContents } from './saga-contents.js';

/** An event of another service that sagas may wait for. */
export interface ArrivedEvent {
  readonly topic: string;
  /** The steps that may wait for it; see {@link waiterOf}. */
  readonly waiter: string;
  /** The value that identifies its saga. */
  readonly match: string;
  readonly payload: unknown;
  /** The subject of its data; null when unknown. */
  readonly subject: string | null;
  /** How long it is kept when no saga waits for it yet, in milliseconds. */
  readonly keepMs: number;
}

/** An event that no saga has waited for in time. */
export interface ExpiredEvent {
  readonly id: number;
  readonly topic: string;
  readonly waiter: string;
  readonly match: string;
  readonly arrivedAt: Date;
  /** Failed deliveries to its handler. */
  readonly failures: number;
  /** Reads its content. @throws SubjectErasedError, ContentUndecipherableError */
  readonly open: () => Promise<KeptEvent>;
}

/** The stored form of an event. */
export interface KeptEvent {
  readonly payload: unknown;
  readonly subject: string | null;
}

/** A step that waits. */
interface Wait {
  readonly sagaId: string;
  readonly step: string;
  readonly waiter: string;
  readonly match: string;
}

/** A step that was checked again, and the event that had arrived for it. */
export interface SeenWait extends Wait {
  readonly kept: KeptEvent | undefined;
}

type Await = Extract<SagaOutput, { readonly type: 'await-event' }>;

/** Matches events of other services to the steps that wait for them, whichever comes first. */
export class EventWaits {
  constructor(
    private readonly replyTopic: string,
    private readonly contents: SagaContents,
  ) {}

  /** Makes a step wait. @returns the event when it has arrived already */
  async await(
    session: SqlSession,
    sagaId: string,
    type: string,
    { step, topic, match }: Await,
  ): Promise<SagaEvent | undefined> {
    const kept = await this.#wait(session, { sagaId, step, waiter: waiterOf(type, step, topic), match });
    return kept && { type: 'event', step, payload: kept.payload };
  }

  /**
   * Looks, in the current transaction, for the event of a step that began to wait under a snapshot that could not see it.
   * @returns undefined when there is no such step
   */
  async lookAgain(session: SqlSession): Promise<SeenWait | undefined> {
    const [wait] = await session.run(seeWait, this.replyTopic);
    return wait && { ...wait, kept: await this.#wait(session, wait) };
  }

  async #wait(session: SqlSession, { sagaId, step, waiter, match }: Wait): Promise<KeptEvent | undefined> {
    for (;;) {
      const [row] = await session.run(awaitEvent, sagaId, step, this.replyTopic, waiter, match);
      const content = row?.content ?? null;
      if (content === null) return undefined;
      try {
        return await this.#open(session, waiter, match, content);
      } catch (error) {
        // Treated as not arrived: the next one counts.
        if (!(error instanceof SubjectErasedError)) throw error;
      }
    }
  }

  async forget(session: SqlSession, sagaId: string, step: string): Promise<undefined> {
    await session.run(forgetEvent, sagaId, step);
  }

  /** Takes an event in. @returns the step that waits for it; undefined when none does: then the event is kept */
  async take(
    session: SqlSession,
    { topic, waiter, match, payload, subject, keepMs }: ArrivedEvent,
  ): Promise<{ readonly sagaId: string; readonly step: string } | undefined> {
    const key = await this.contents.keyOf(session, subject ?? undefined);
    const kept: KeptEvent = { payload: payload ?? null, subject };
    const content = this.contents.seal(locationOf(waiter, match), JSON.stringify(kept), key);
    const [row] = await session.run(takeEvent, this.replyTopic, topic, waiter, match, keepMs, content);
    return row;
  }

  /** Removes, in the current transaction, one event that no saga has waited for in time; undefined when there is none. */
  async expired(session: SqlSession): Promise<ExpiredEvent | undefined> {
    const [row] = await session.run(expireEvent, this.replyTopic);
    if (row === undefined) return undefined;
    const { content, ...event } = row;
    return { ...event, open: () => this.#open(session, event.waiter, event.match, content) };
  }

  async #open(session: SqlSession, waiter: string, match: string, content: string): Promise<KeptEvent> {
    return JSON.parse(await this.contents.open(session, locationOf(waiter, match), content)) as KeptEvent;
  }
}

/** Encryption context of an event that waits for its saga. */
function locationOf(waiter: string, match: string): string {
  return `${waiter} ${match}`;
}

/** Identifies the steps of one name in sagas of one type: each gets its own copy of an event. */
export function waiterOf(type: string, step: string, topic: string): string {
  return `${type}/${step}@${topic}`;
}
