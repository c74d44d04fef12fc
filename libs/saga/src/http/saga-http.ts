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
import { describeError, isWaybillError, parseJson } from '@waybill/kernel';
import type { Codec, Outbox } from '@waybill/outbox';
import type { SagaCommand, SagaOp } from '../definition/saga-command.js';
import type { SagaDefinitions } from '../definition/saga-definitions.js';
import type { EndpointAnswer, SagaEndpoints } from './saga-endpoint.js';
import {
  SAGA_ATTEMPT_HEADER,
  SAGA_BRANCH_HEADER,
  SAGA_CALL_MAC_HEADER,
  SAGA_DEFINITION_HEADER,
  SAGA_ID_HEADER,
  SAGA_OP_HEADER,
  SAGA_STEP_HEADER,
} from '../engine/saga-headers.js';
import type { SagaKeys } from '../engine/saga-keys.js';
import type { SagaRefusals } from '../engine/saga-refusals.js';

/** Status codes by which an endpoint says no. */
const REJECTIONS: ReadonlySet<number> = new Set([409, 422]);
/** Those by which it says that it is still at it. */
const ONGOING: ReadonlySet<number> = new Set([202, 425]);
/** An endpoint that is still at it is asked again after this, in milliseconds. */
const ASK_AGAIN_MS = 1_000;
const REASON_CHARS = 500;

/** An endpoint has answered neither yes nor no: whether it has done anything is unknown, and it is asked again. */
class EndpointError extends Error {
  override readonly name = 'EndpointError';
}

/** What the HTTP calls of a service's sagas work with. */
export interface HttpCallsParts {
  readonly outbox: Outbox;
  readonly definitions: SagaDefinitions;
  readonly endpoints: SagaEndpoints;
  readonly keys: SagaKeys;
  readonly refusals: SagaRefusals;
  /** Of the topic of calls. */
  readonly codec: Codec;
}

/** The subscription that makes the HTTP calls of a service's sagas, and publishes their answers. */
export function httpCalls(topic: string, parts: HttpCallsParts): Subscription {
  return resolveSubscription(topic, (delivery) => call(delivery, parts), {
    name: 'saga-calls',
    codec: parts.codec,
    answers: true,
    maxProcessingMs: Math.max(30_000, parts.endpoints.timeoutMs + 5_000),
    retry: { immediateAttempts: 0, delayMs: 500, maxDelayMs: 30_000, maxAttempts: 8 },
  });
}

/** A call that the saga's own service has commanded. */
interface KnownCall {
  readonly type: string;
  readonly step: string;
  readonly url: string;
}

async function call(delivery: Delivery, parts: HttpCallsParts): Promise<unknown> {
  const known = await knownCall(delivery, parts);
  if (typeof known === 'string') return parts.refusals.keep(delivery, known);
  const { control, payload, signal } = delivery;
  const [id = '', branch = '', op = ''] = [SAGA_ID_HEADER, SAGA_BRANCH_HEADER, SAGA_OP_HEADER].map(
    (name) => control[name],
  );
  const headers = {
    'content-type': 'application/json',
    'idempotency-key': `${id}/${branch}/${op}`,
    [SAGA_ID_HEADER]: id,
    [SAGA_BRANCH_HEADER]: branch,
    [SAGA_OP_HEADER]: op,
  };
  const body = JSON.stringify(payload ?? null);
  const answered = await parts.endpoints.post(known, headers, body, signal).catch((error: unknown) => {
    // A code such as ECONNREFUSED would be taken for one of the database.
    throw isWaybillError(error) ? error : new EndpointError(describeError(error), { cause: error });
  });
  return settle(delivery, answered, parts);
}

/** Where a call goes says the definition that it names, and never the call. @returns why it is none of this service's */
async function knownCall(
  delivery: Delivery,
  { definitions, keys }: HttpCallsParts,
): Promise<KnownCall | string> {
  const { control, session, payload } = delivery;
  const [sagaId = '', step = '', op = '', name = ''] = [
    SAGA_ID_HEADER,
    SAGA_STEP_HEADER,
    SAGA_OP_HEADER,
    SAGA_DEFINITION_HEADER,
  ].map((header) => control[header]);
  const command = { sagaId, step, op, attempt: Number(control[SAGA_ATTEMPT_HEADER]) };
  if (!(await keys.isCall(session, control[SAGA_CALL_MAC_HEADER], command, name, payload)))
    return 'it has no MAC of this service';
  if (control[REPLY_TO_HEADER] !== keys.replyTopic) return 'it wants its answer elsewhere';
  const definition = definitions.named(name);
  const action = commandOf(
    definition?.steps.find((candidate) => candidate.name === step),
    op as SagaOp,
  );
  if (definition === undefined || action?.url === undefined)
    return `no definition here has such a call: ${name}`;
  return { type: definition.type, step, url: action.url };
}

type StepActions = { readonly forward: unknown; readonly undo: unknown };

function commandOf(step: StepActions | undefined, op: SagaOp): SagaCommand | undefined {
  for (const action of [step?.forward, step?.undo] as { kind: string; op?: SagaOp; command?: SagaCommand }[])
    if (action?.kind === 'command' && action.op === op) return action.command;
  return undefined;
}

async function settle(
  delivery: Delivery,
  { status, text }: EndpointAnswer,
  { outbox }: HttpCallsParts,
): Promise<unknown> {
  if (ONGOING.has(status)) return retryIn(ASK_AGAIN_MS);
  if (REJECTIONS.has(status)) await answer(delivery, outbox, 'rejected', null, reasonOf(text));
  else if (status >= 200 && status < 300) await answer(delivery, outbox, 'done', resultOf(text));
  else throw new EndpointError(`the endpoint answered ${status}`);
  return undefined;
}

async function answer(
  { session, control, subject }: Delivery,
  outbox: Outbox,
  status: ReplyStatus,
  payload: unknown,
  error?: string,
): Promise<void> {
  const message = outbox.encodeControl({
    topic: control[REPLY_TO_HEADER] ?? '',
    key: control[REPLY_KEY_HEADER] ?? null,
    control: replyHeaders(control, status, error),
    payload,
    subject,
  });
  await outbox.publishEncoded(session, [message]);
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
