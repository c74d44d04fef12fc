import type { ConsumerSerializer } from '@nestjs/microservices';
import { KafkaRetriableException, RpcException } from '@nestjs/microservices';
import { type Delivery, drop, HandlerVerdict, type ReplyStatus } from '@waybill/consumer';
import {
  assertReplyTopic,
  isHttpRefusal,
  reasonOf,
  remoteErrorOf,
  REPLY_KEY_HEADER,
  REPLY_TO_HEADER,
  replyHeaders,
  REQUEST_ID_HEADER,
} from '@waybill/consumer/internal';
import { isWaybillError } from '@waybill/kernel';
import { isError, readableThrown, runAhead, savepointOf } from '@waybill/kernel/internal';
import type { ControlMessage } from '@waybill/outbox';
import { type Replies, SagaRejectedError } from '@waybill/saga';
import { REPLY_VALUES_HEADER } from './reply-listener.js';
import type { RequestCancellations } from './request-cancellations.js';

/** In a request: how long its asker waits from its publishing on, in milliseconds. */
export const REQUEST_TIMEOUT_HEADER = 'waybill-request-timeout-ms';

const savepoint = savepointOf('request');
const CANCELLED = 'its asker has given it up';

/** What {@link RequestReplies} work with. */
export interface RequestRepliesDependencies {
  readonly replies: Replies;
  readonly cancellations: RequestCancellations;
  /** Finds a topic of the log: answers go to those that are there. */
  readonly findTopic: (name: string) => Promise<unknown>;
  /** Turns an answer's packet into its payload. Default: the response is the payload. */
  readonly serializer: ConsumerSerializer | undefined;
  /** The time by the clock of the log's database, in milliseconds since 1970. */
  readonly now: () => Promise<number>;
}

/**
 * Answers requests in the transactions of their deliveries: effect and answers are committed together, so a request that
 * took effect is answered, and one that did not is not. A rejection takes the handler's writes back and is an answer, too;
 * any other failure is an attempt, and only its dead letter is answered.
 */
export class RequestReplies {
  constructor(private readonly dependencies: RequestRepliesDependencies) {}

  /** Whether the message asks for an answer. */
  asksFor({ control }: Delivery): boolean {
    return control[REPLY_TO_HEADER] !== undefined;
  }

  /** Hands a request over with a signal that aborts also when its asker gives up. */
  watched<T>(delivery: Delivery, work: (delivery: Delivery) => Promise<T>): Promise<T> {
    const { control, signal } = delivery;
    return this.dependencies.cancellations.watch(control[REQUEST_ID_HEADER] ?? '', signal, (either) =>
      work({ ...delivery, signal: either }),
    );
  }

  /**
   * @param work the handler; resolves to the values to answer with
   * @returns a verdict: the handler's own, or to drop a request whose asker has given up
   * @throws what `work` throws, unless it is an answer
   */
  async serve(
    delivery: Delivery,
    work: () => Promise<readonly unknown[]>,
  ): Promise<HandlerVerdict | undefined> {
    await assertReplyTopic(delivery, this.dependencies.findTopic);
    const lateMs = await this.#lateMs(delivery);
    if (lateMs > 0) return drop(`its asker has given up ${Math.round(lateMs)} ms ago`);
    if (this.#isCancelled(delivery)) return drop(CANCELLED);
    const { session } = delivery;
    await runAhead(session, savepoint.set);
    let replies: readonly ControlMessage[];
    try {
      const values = await work();
      const verdict = values.find((value) => value instanceof HandlerVerdict);
      if (verdict !== undefined) return verdict;
      if (this.#isCancelled(delivery)) return drop(CANCELLED);
      replies = await this.#valuesTo(delivery, values);
    } catch (thrown) {
      const error = readableThrown(thrown);
      // What it failed of was, most likely, that it has stopped for that.
      if (this.#isCancelled(delivery)) return drop(CANCELLED);
      if (!isReply(error)) throw error;
      await session.run(savepoint.goBack);
      replies = [rejectionTo(delivery, error)];
    }
    await this.dependencies.replies.send(delivery, replies);
    return undefined;
  }

  /** For how long nobody has waited for the answer; 0 while somebody may. One that was redriven is wanted all the same. */
  async #lateMs({ control, timestamp, isRedriven }: Delivery): Promise<number> {
    const timeoutMs = Number(control[REQUEST_TIMEOUT_HEADER]);
    if (isRedriven || !(timeoutMs > 0)) return 0;
    const publishedMs = timestamp.getTime();
    // The database is asked only where it may say so: this process's clock need not be right, but it is not far off.
    if (Date.now() - publishedMs < timeoutMs / 2) return 0;
    return Math.max(0, (await this.dependencies.now()) - publishedMs - timeoutMs);
  }

  #isCancelled({ control, isRedriven }: Delivery): boolean {
    return !isRedriven && this.dependencies.cancellations.has(control[REQUEST_ID_HEADER] ?? '');
  }

  async #valuesTo(delivery: Delivery, values: readonly unknown[]): Promise<ControlMessage[]> {
    const count = values.length;
    if (count === 0) return [repliesTo(delivery, 'done', null, 0)];
    const messages: ControlMessage[] = [];
    for (const [index, value] of values.entries()) {
      const isLast = index === count - 1;
      const payload = await this.#payloadOf(delivery, value, isLast);
      messages.push(repliesTo(delivery, isLast ? 'done' : 'ongoing', payload, count));
    }
    return messages;
  }

  async #payloadOf({ control }: Delivery, response: unknown, isDisposed: boolean): Promise<unknown> {
    const { serializer } = this.dependencies;
    if (serializer === undefined) return response ?? null;
    const id = control[REQUEST_ID_HEADER] ?? '';
    return (await serializer.serialize({ id, response, isDisposed })) ?? null;
  }
}

/**
 * Whether what a handler threw is meant for anyone who asked: a rejection that a later attempt would only repeat. What is no
 * error was made for the caller by an exception filter.
 */
function isReply(thrown: unknown): boolean {
  if (thrown instanceof HandlerVerdict || isWaybillError(thrown)) return false;
  if (thrown instanceof SagaRejectedError) return true;
  if (thrown instanceof RpcException) return !(thrown instanceof KafkaRetriableException);
  if (isError(thrown)) return isHttpRefusal(thrown);
  return typeof thrown === 'string' || (typeof thrown === 'object' && thrown !== null);
}

function rejectionTo(delivery: Delivery, thrown: unknown): ControlMessage {
  const remote = remoteErrorOf(thrown);
  // What the business says stands for itself.
  const reason = thrown instanceof SagaRejectedError ? thrown.reason : reasonOf(remote);
  return repliesTo(delivery, 'rejected', remote, 1, reason);
}

function repliesTo(
  { control }: Delivery,
  status: ReplyStatus,
  payload: unknown,
  count: number,
  error?: string,
): ControlMessage {
  const counted: Record<string, string> =
    status === 'done' && count !== 1 ? { [REPLY_VALUES_HEADER]: String(count) } : {};
  return {
    topic: control[REPLY_TO_HEADER] ?? '',
    key: control[REPLY_KEY_HEADER] ?? null,
    control: { ...replyHeaders(control, status, error), ...counted },
    payload,
  };
}
