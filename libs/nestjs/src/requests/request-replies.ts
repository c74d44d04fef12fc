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

/** In a request: how long its requester waits after publishing it, in milliseconds. */
export const REQUEST_TIMEOUT_HEADER = 'waybill-request-timeout-ms';

const savepoint = savepointOf('request');
const CANCELLED = 'its requester cancelled it';

/** What {@link RequestReplies} work with. */
export interface RequestRepliesDependencies {
  readonly replies: Replies;
  readonly cancellations: RequestCancellations;
  /** Finds a topic of the log: replies are sent only to topics that exist. */
  readonly findTopic: (name: string) => Promise<unknown>;
  /** Turns a reply's packet into its payload. Default: the response is the payload. */
  readonly serializer: ConsumerSerializer | undefined;
  /** The time by the clock of the service's database, in milliseconds since 1970. */
  readonly now: () => Promise<number>;
}

/**
 * Replies to requests in the transactions of their deliveries: the effect and the replies are committed together, so a
 * request gets its reply exactly if it took effect. A rejection rolls back the handler's writes and is a reply, too;
 * any other failure is a failed attempt, and only its dead letter is reported to the requester.
 */
export class RequestReplies {
  constructor(private readonly dependencies: RequestRepliesDependencies) {}

  /** Whether the message asks for a reply. */
  asksFor({ control }: Delivery): boolean {
    return control[REPLY_TO_HEADER] !== undefined;
  }

  /** Passes a request on with a signal that also aborts when its requester cancels. */
  watched<T>(delivery: Delivery, work: (delivery: Delivery) => Promise<T>): Promise<T> {
    const { control, signal } = delivery;
    return this.dependencies.cancellations.watch(control[REQUEST_ID_HEADER] ?? '', signal, (either) =>
      work({ ...delivery, signal: either }),
    );
  }

  /**
   * @param work the handler; resolves to the values of the reply
   * @returns a verdict: the handler's own, or to drop a request that its requester has given up
   * @throws what `work` throws, unless it becomes a reply
   */
  async serve(
    delivery: Delivery,
    work: () => Promise<readonly unknown[]>,
  ): Promise<HandlerVerdict | undefined> {
    await assertReplyTopic(delivery, this.dependencies.findTopic);
    const lateMs = await this.#lateMs(delivery);
    if (lateMs > 0) return drop(`its requester gave up ${Math.round(lateMs)} ms ago`);
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
      // Most likely it failed because it was aborted.
      if (this.#isCancelled(delivery)) return drop(CANCELLED);
      if (!isReply(error)) throw error;
      await session.run(savepoint.goBack);
      replies = [rejectionTo(delivery, error)];
    }
    await this.dependencies.replies.send(delivery, replies);
    return undefined;
  }

  /** How long ago the requester stopped waiting; 0 if it may still wait. A redriven request is always handled. */
  async #lateMs({ control, timestamp, isRedriven }: Delivery): Promise<number> {
    const timeoutMs = Number(control[REQUEST_TIMEOUT_HEADER]);
    if (isRedriven || !(timeoutMs > 0)) return 0;
    const publishedMs = timestamp.getTime();
    // The database is asked only if the request may be late: this process's clock may be wrong, but not by much.
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
 * Whether an error is meant for the requester: a rejection, which a later attempt would only repeat. A value that is
 * not an Error was made for the caller by an exception filter.
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
  // A rejection by the business needs no further explanation.
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
