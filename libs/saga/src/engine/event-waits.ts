import type { SqlSession } from '@waybill/kernel';
import type { SagaEvent, SagaOutput } from '../machine/saga-event.js';
import { awaitEvent, forgetEvent, takeEvent } from '../statements.generated.js';
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
    { step, match }: Await,
  ): Promise<SagaEvent | undefined> {
    const waiter = waiterOf(type, step);
    const [row] = await session.run(awaitEvent, sagaId, step, this.replyTopic, waiter, match);
    const content = row?.content ?? null;
    if (content === null) return undefined;
    const payload = JSON.parse(await this.contents.open(session, placeOf(waiter, match), content)) as unknown;
    return { type: 'event', step, payload };
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
    const content = this.contents.seal(placeOf(waiter, match), JSON.stringify(payload ?? null), key);
    const [row] = await session.run(takeEvent, this.replyTopic, topic, waiter, match, keepMs, content);
    return row;
  }
}

/** Where the content of an event that waits for its saga is sealed. */
function placeOf(waiter: string, match: string): string {
  return `${waiter} ${match}`;
}

/** The steps of a name that sagas of a type have: each gets an event of its own. */
export function waiterOf(type: string, step: string): string {
  return `${type}/${step}`;
}
