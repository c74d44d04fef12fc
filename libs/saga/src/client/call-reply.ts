import { type ReplyStatus } from '@waybill/consumer';
import { REPLY_KEY_HEADER, replyHeaders } from '@waybill/consumer/internal';
import { ConfigurationError, isId, type SqlSession } from '@waybill/kernel';
import { own, show } from '@waybill/kernel/internal';
import { SagaCallbackRefusedError } from '../errors/saga-errors.js';
import type { EncodedMessage, Outbox } from '@waybill/outbox';
import { readCallbackToken } from '../message/callback-token.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import {
  SAGA_ATTEMPT_HEADER,
  SAGA_ID_HEADER,
  SAGA_MAC_HEADER,
  SAGA_OP_HEADER,
  SAGA_STEP_HEADER,
} from '../message/saga-headers.js';
import type { CallToSign } from '../message/saga-keys.js';
import { restoreInstance, subjectOf } from '../engine/saga-store.js';
import { isEnd, type StepStatus, stateOf } from '../machine/saga-instance.js';
import { replyToSagaCall, readSagaCall, showSaga } from '../statements.generated.js';

/** What an endpoint answers later to an HTTP call of a saga. */
export interface CallReply {
  /** Whether it is done, or the business says no. */
  readonly status: Extract<ReplyStatus, 'done' | 'rejected'>;
  /** What the step's `then` gets. Default null. */
  readonly payload?: unknown;
  /** Why it was rejected. */
  readonly reason?: string;
}

/** What an answer is told with. */
export interface CallReplyDependencies {
  readonly engine: SagaEngine;
  readonly outbox: Outbox;
  /** The caller's transaction. */
  readonly session: SqlSession;
}

/** Operations that take back what others did. */
const UNDOING: ReadonlySet<string> = new Set(['compensate', 'cancel']);
/** How a step stands that has its answer already, and one that takes one; by whether it is being undone. */
const ANSWERED: ReadonlySet<StepStatus> = new Set<StepStatus>(['done', 'skipped', 'rejected']);
const AWAITING: ReadonlySet<StepStatus> = new Set<StepStatus>(['running', 'waiting', 'stuck', 'failed']);
const UNDO_AWAITING: ReadonlySet<StepStatus> = new Set<StepStatus>(['undoing', 'undo-waiting', 'undo-stuck']);

/**
 * The message that tells a saga what an endpoint has answered later. It goes by the log, so that the caller's transaction
 * locks no saga, and any process of the service may send it.
 *
 * @returns undefined where the saga has that answer already
 * @throws SagaCallbackRefusedError
 */
export async function callReply(
  { engine, outbox, session }: CallReplyDependencies,
  token: string,
  { status, payload = null, reason }: CallReply,
): Promise<EncodedMessage | undefined> {
  const statuses: readonly unknown[] = ['done', 'rejected'];
  if (!statuses.includes(status))
    throw new ConfigurationError('An answer to a call is not usable', [
      `status must be done or rejected, got ${show(status)}`,
    ]);
  const { call, mac } = readCallbackToken(token) ?? {};
  if (call === undefined || !isId(call.sagaId)) throw forged(null);
  const { sagaId, step, op } = call;
  const [row] = await session.run(showSaga, sagaId);
  const keys = engine.keysOf(row?.replyTopic ?? engine.replyTopic);
  if (!(await keys.isCallback(session, mac, call))) throw forged(sagaId);
  if (row === undefined) throw stale(sagaId, 'the saga is not kept any more');
  const content = await engine.contents.open(session, sagaId, row.content);
  const { steps } = restoreInstance(row, content);
  if (!isAwaited(call, own(steps, step)?.status, isEnd(stateOf(row.state)))) return undefined;
  const [asked] = await session.run(readSagaCall, sagaId, step, op);
  if (asked?.round !== call.round)
    throw stale(sagaId, `step ${step} was called again with another key since`);
  const [first] = await session.run(replyToSagaCall, sagaId, step, op, call.round, status === 'rejected');
  if (first?.first !== true) return undefined;
  const { attempt } = asked;
  const control = {
    [SAGA_ID_HEADER]: sagaId,
    [SAGA_STEP_HEADER]: step,
    [SAGA_OP_HEADER]: op,
    [SAGA_ATTEMPT_HEADER]: String(attempt),
    [REPLY_KEY_HEADER]: sagaId,
    [SAGA_MAC_HEADER]: await keys.command(session, { sagaId, step, op, attempt }),
  };
  return outbox.encodeControl({
    topic: keys.replyTopic,
    key: sagaId,
    control: replyHeaders(
      control,
      status,
      status === 'rejected' ? (reason ?? 'the endpoint said no') : undefined,
    ),
    payload,
    subject: subjectOf(content),
  });
}

/** @throws SagaCallbackRefusedError where an answer would be to nothing */
function isAwaited(
  { sagaId, step, op }: CallToSign,
  status: StepStatus | undefined,
  ended: boolean,
): boolean {
  const isUndo = UNDOING.has(op);
  if (status !== undefined && (isUndo ? status === 'undone' : ANSWERED.has(status))) return false;
  const isAwaiting = status !== undefined && (isUndo ? UNDO_AWAITING : AWAITING).has(status);
  if (ended || !isAwaiting) throw stale(sagaId, `step ${step} is ${status ?? 'not begun'} by now`);
  return true;
}

function forged(sagaId: string | null): SagaCallbackRefusedError {
  return new SagaCallbackRefusedError('forged', sagaId, 'no service whose sagas are here has made its token');
}

function stale(sagaId: string, why: string): SagaCallbackRefusedError {
  return new SagaCallbackRefusedError('stale', sagaId, why);
}
