import { assertTopicName } from '@waybill/log/internal';
import type { UrlTemplate } from './url-template.js';

declare const requestType: unique symbol;
declare const replyType: unique symbol;

/**
 * What one service asks of another: a topic, the payload that goes there and the payload that comes back. The service
 * that serves it handles the topic; the saga that sends it knows nothing else of that service.
 */
export interface SagaCommandContract<Request = unknown, Reply = unknown> {
  readonly topic: string;
  /** Set for one that goes to an HTTP endpoint, as the definition has it; the topic then stands for none. */
  readonly url?: string;
  /** How that endpoint is called. */
  readonly http?: HttpCall;
  /** Types only. */
  readonly [requestType]?: Request;
  /** Types only. */
  readonly [replyType]?: Reply;
}

/**
 * Declares a command, for the module that both services share.
 *
 * @param topic where the command goes
 * @typeParam Request payload of the command: any JSON value
 * @typeParam Reply payload of a good answer
 * @throws TopicNameInvalidError
 */
export function sagaCommand<Request, Reply = void>(topic: string): SagaCommandContract<Request, Reply> {
  assertTopicName(topic);
  return Object.freeze({ topic });
}

/**
 * What a command does, as the barrier of its participant knows it. `compensate` undoes `action`, `cancel` undoes `try`;
 * `confirm` follows a `try`.
 */
export type SagaOp = 'action' | 'compensate' | 'try' | 'confirm' | 'cancel';

/** What names a call to the function that makes its idempotency key. */
export interface HttpCallName {
  readonly sagaId: string;
  readonly branch: string;
  readonly op: SagaOp;
}

/** A call as its definition says it. */
export interface HttpCall {
  readonly url: UrlTemplate;
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET';
  readonly sendBody: boolean;
  readonly rejectOn: ReadonlySet<number>;
  /** Undefined: the service's. */
  readonly timeoutMs: number | undefined;
  readonly callback: boolean;
  readonly headers: ((request: unknown) => unknown) | undefined;
  readonly idempotencyKey: ((request: unknown, call: HttpCallName) => unknown) | undefined;
}
