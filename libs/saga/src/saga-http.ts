import {
  type Delivery,
  REPLY_KEY_HEADER,
  REPLY_TO_HEADER,
  replyHeaders,
  resolveSubscription,
  retryIn,
  type ReplyStatus,
  type Subscription,
} from '@waybill/consumer';
import { parseJson } from '@waybill/kernel';
import type { Outbox } from '@waybill/outbox';
import { SAGA_BRANCH_HEADER, SAGA_ID_HEADER, SAGA_OP_HEADER, SAGA_URL_HEADER } from './saga-headers.js';

/** Status codes by which an endpoint says no. */
const REJECTIONS: ReadonlySet<number> = new Set([409, 422]);
/** Those by which it says that it is still at it. */
const ONGOING: ReadonlySet<number> = new Set([202, 425]);
/** An endpoint that is still at it is asked again after so many milliseconds. */
const ASK_AGAIN_MS = 1_000;
/** Longest time for one call, in milliseconds. */
const CALL_MS = 25_000;
/** Longest answer that is read, in bytes. */
const ANSWER_BYTES = 1_048_576;
const REASON_CHARS = 500;

/** An endpoint has answered neither yes nor no: whether it has done anything is unknown, and it is asked again. */
class EndpointError extends Error {
  override readonly name = 'EndpointError';
}

/** The subscription that makes the HTTP calls of a service's sagas, and publishes their answers. */
export function httpCalls(topic: string, outbox: Outbox): Subscription {
  return resolveSubscription(topic, (delivery) => call(delivery, outbox), {
    name: 'saga-calls',
    retry: { immediateAttempts: 0, delayMs: 500, maxDelayMs: 30_000, maxAttempts: 8 },
  });
}

async function call(delivery: Delivery, outbox: Outbox): Promise<unknown> {
  const { headers, payload, signal } = delivery;
  const url = headers[SAGA_URL_HEADER] ?? '';
  const [id, branch, op] = [SAGA_ID_HEADER, SAGA_BRANCH_HEADER, SAGA_OP_HEADER].map(
    (name) => headers[name] ?? '',
  );
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': `${id}/${branch}/${op}`,
      [SAGA_ID_HEADER]: id ?? '',
      [SAGA_BRANCH_HEADER]: branch ?? '',
      [SAGA_OP_HEADER]: op ?? '',
    },
    body: JSON.stringify(payload ?? null),
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]),
  });
  const text = await readText(response);
  if (ONGOING.has(response.status)) return retryIn(ASK_AGAIN_MS);
  if (REJECTIONS.has(response.status)) await answer(delivery, outbox, 'rejected', null, reasonOf(text));
  else if (response.ok) await answer(delivery, outbox, 'done', resultOf(text));
  else throw new EndpointError(`the endpoint answered ${response.status}`);
  return undefined;
}

async function answer(
  { session, headers }: Delivery,
  outbox: Outbox,
  status: ReplyStatus,
  payload: unknown,
  error?: string,
): Promise<void> {
  const topic = headers[REPLY_TO_HEADER];
  if (topic === undefined) return;
  const request = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== SAGA_URL_HEADER));
  await outbox.publish(session, {
    topic,
    key: headers[REPLY_KEY_HEADER] ?? null,
    headers: replyHeaders(request, status, error),
    payload,
  });
}

/** @throws EndpointError for an answer that is too long */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).length;
    if (bytes > ANSWER_BYTES)
      throw new EndpointError(`the endpoint's answer is longer than ${ANSWER_BYTES} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What the endpoint answered; a body that is no JSON is a text. */
function resultOf(text: string): unknown {
  if (text === '') return null;
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}

/** Why it said no: the `message` of a JSON body, as Nest's exceptions have it, or the body. */
function reasonOf(text: string): string {
  const { message } = (resultOf(text) ?? {}) as { message?: unknown };
  const reason = typeof message === 'string' ? message : text;
  return reason === '' ? 'the endpoint said no' : reason.slice(0, REASON_CHARS);
}
