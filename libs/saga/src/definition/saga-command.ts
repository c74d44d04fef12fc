import { ConfigurationError } from '@waybill/kernel';
import { assertTopicName } from '@waybill/log';

declare const requestType: unique symbol;
declare const replyType: unique symbol;

/**
 * What one service asks of another: a topic, the payload that goes there and the payload that comes back. The service
 * that serves it handles the topic; the saga that sends it knows nothing else of that service.
 */
export interface SagaCommand<Request = unknown, Reply = unknown> {
  readonly topic: string;
  /** Set for one that goes to an HTTP endpoint; the topic then stands for the calls of the saga's own service. */
  readonly url?: string;
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
export function sagaCommand<Request, Reply = void>(topic: string): SagaCommand<Request, Reply> {
  assertTopicName(topic);
  return Object.freeze({ topic });
}

/** Stands for the topic of HTTP calls, which is named after the service that makes them. */
export const HTTP_TOPIC = 'http';

/**
 * Declares a command that is a POST to an HTTP endpoint. The saga's service makes the call, with the payload as JSON and
 * the headers `idempotency-key` (the same at each attempt), `waybill-saga-id`, `waybill-saga-branch` and `waybill-saga-op`, by
 * which an endpoint with a barrier names the call. 200 to 299 is done, and a JSON body is the answer; 409 and 422 are a rejection; 202 and
 * 425 say that it is still at it, to be asked again; anything else is trouble, and the call is made again.
 *
 * @param url `http` or `https`, without user and password; part of the definition, never of the data. Credentials are
 *   given by the service's option `sagas.http.headers`
 * @throws ConfigurationError
 */
export function httpCommand<Request, Reply = void>(url: string): SagaCommand<Request, Reply> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new ConfigurationError('A command is not usable', ['its URL is no http or https URL']);
  const { username, password, host } = new URL(url);
  if (username !== '' || password !== '')
    throw new ConfigurationError('A command is not usable', [
      `its URL of ${host} has a user or a password in it, which would stand in logs and tables: use sagas.http.headers`,
    ]);
  return Object.freeze({ topic: HTTP_TOPIC, url });
}

/**
 * What a command does, as the barrier of its participant knows it. `compensate` undoes `action`, `cancel` undoes `try`;
 * `confirm` follows a `try`.
 */
export type SagaOp = 'action' | 'compensate' | 'try' | 'confirm' | 'cancel';
