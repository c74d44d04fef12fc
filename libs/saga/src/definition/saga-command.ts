import { assertTopicName } from '@waybill/log/internal';
import type { UrlTemplate } from './url-template.js';

declare const requestType: unique symbol;
declare const replyType: unique symbol;

/**
 * A command of one service to another: a topic, the request payload and the reply payload. The service
 * that serves it handles the topic; the saga knows nothing else about that service.
 */
export interface SagaCommandContract<Request = unknown, Reply = unknown> {
  readonly topic: string;
  /** The URL of a command to an HTTP endpoint, as defined; its topic is then unused. */
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
 * @typeParam Reply payload of a successful reply
 * @throws TopicNameInvalidError
 */
export function sagaCommand<Request, Reply = void>(topic: string): SagaCommandContract<Request, Reply> {
  assertTopicName(topic);
  return Object.freeze({ topic });
}

/**
 * The kind of operation, for the barrier of the participant. `compensate` undoes `action`, `cancel` undoes `try`;
 * `confirm` follows a `try`.
 */
export type SagaOp = 'action' | 'compensate' | 'try' | 'confirm' | 'cancel';

/** What identifies a call, for the function that makes its idempotency key. */
export interface HttpCallName {
  readonly sagaId: string;
  readonly branch: string;
  readonly op: SagaOp;
}

/** An HTTP call as it is defined. */
export interface HttpCall {
  readonly url: UrlTemplate;
  readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'GET';
  readonly sendBody: boolean;
  readonly rejectOn: ReadonlySet<number>;
  /** Undefined: the service's default. */
  readonly timeoutMs: number | undefined;
  readonly callback: boolean;
  readonly headers: ((request: unknown) => unknown) | undefined;
  readonly idempotencyKey: ((request: unknown, call: HttpCallName) => unknown) | undefined;
}
