import { type SqlSession, SubjectErasedError } from '@waybill/kernel';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import { awaitEvent, expireEvent, forgetEvent, seeWait, takeEvent } from '../statements.generated.js';
import type { SagaContents } from './saga-contents.js';

/** An event of another service that sagas may wait for. */
export interface ArrivedEvent {
  readonly topic: string;
  /** The steps that may wait for it; see {@link waiterOf}. */
  readonly waiter: string;
  /** What says whose it is. */
  readonly match: string;
  readonly payload: unknown;
  /** Whose data it holds; null where that was not said. */
  readonly subject: string | null;
  /** How long it is kept where no saga waits for it yet, in milliseconds. */
  readonly keepMs: number;
}

/** An event that no saga has waited for in time. */
export interface ExpiredEvent {
  readonly id: number;
  readonly topic: string;
  readonly waiter: string;
  readonly match: string;
  readonly arrivedAt: Date;
  /** How often it could not be handed to its handler. */
  readonly failures: number;
  /** Reads what it holds. @throws SubjectErasedError, ContentUndecipherableError */
  readonly open: () => Promise<KeptEvent>;
}

/** What is kept of an event. */
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

/** A step that was looked after once more, and what had come for it. */
export interface SeenWait extends Wait {
  readonly kept: KeptEvent | undefined;
}

type Await = Extract<SagaOutput, { readonly type: 'await-event' }>;

/** Events of other services that the sagas of one wait for, in whichever order the two come. */
export class EventWaits {
  constructor(
    private readonly replyTopic: string,
    private readonly contents: SagaContents,
  ) {}

  /** Lets a step wait. @returns the event, where it has come already */
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
   * Looks, in the current transaction, for the event of a step that began to wait where it could not be seen.
   * @returns undefined where there is no such step
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
        // It is as if it had not come: the next one counts.
        if (!(error instanceof SubjectErasedError)) throw error;
      }
    }
  }

  async forget(session: SqlSession, sagaId: string, step: string): Promise<undefined> {
    await session.run(forgetEvent, sagaId, step);
  }

  /** An event has come. @returns the step that waits for it; undefined where none does: then it is kept */
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

  /** Takes an event out that no saga has waited for in time, in the current transaction; undefined where there is none. */
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

/** Where the content of an event that waits for its saga is sealed. */
function locationOf(waiter: string, match: string): string {
  return `${waiter} ${match}`;
}

/** The steps of a name that sagas of a type have: each gets an event of a topic of its own. */
export function waiterOf(type: string, step: string, topic: string): string {
  return `${type}/${step}@${topic}`;
}
