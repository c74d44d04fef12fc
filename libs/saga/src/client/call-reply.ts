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

/** The later reply of an endpoint to an HTTP call of a saga. */
export interface CallReply {
  /** `rejected` when the business says no. */
  readonly status: Extract<ReplyStatus, 'done' | 'rejected'>;
  /** What the step's `then` gets. Default null. */
  readonly payload?: unknown;
  /** Why it was rejected. */
  readonly reason?: string;
}

/** What {@link callReply} works with. */
export interface CallReplyDependencies {
  readonly engine: SagaEngine;
  readonly outbox: Outbox;
  /** The caller's transaction. */
  readonly session: SqlSession;
}

/** Operations that undo others. */
const UNDOING: ReadonlySet<string> = new Set(['compensate', 'cancel']);
/** Statuses of a step that has its reply already, and of one that still awaits it, going forward or being undone. */
const ANSWERED: ReadonlySet<StepStatus> = new Set<StepStatus>(['done', 'skipped', 'rejected']);
const AWAITING: ReadonlySet<StepStatus> = new Set<StepStatus>(['running', 'waiting', 'stuck', 'failed']);
const UNDO_AWAITING: ReadonlySet<StepStatus> = new Set<StepStatus>(['undoing', 'undo-waiting', 'undo-stuck']);

/**
 * The message that carries an endpoint's later reply to its saga. It goes through the log, so that the caller's transaction
 * locks no saga, and any process of the service may send it.
 *
 * @returns undefined when the saga has this reply already
 * @throws SagaCallbackRefusedError
 */
export async function callReply(
  { engine, outbox, session }: CallReplyDependencies,
  token: string,
  { status, payload = null, reason }: CallReply,
): Promise<EncodedMessage | undefined> {
  const statuses: readonly unknown[] = ['done', 'rejected'];
  if (!statuses.includes(status))
    throw new ConfigurationError('The reply to a call is not usable', [
      `status must be done or rejected, got ${show(status)}`,
    ]);
  const { call, mac } = readCallbackToken(token) ?? {};
  if (call === undefined || !isId(call.sagaId)) throw forged(null);
  const { sagaId, step, op } = call;
  const [row] = await session.run(showSaga, sagaId);
  const keys = engine.keysOf(row?.replyTopic ?? engine.replyTopic);
  if (!(await keys.isCallback(session, mac, call))) throw forged(sagaId);
  if (row === undefined) throw stale(sagaId, 'the saga is no longer kept');
  const content = await engine.contents.open(session, sagaId, row.content);
  const { steps } = restoreInstance(row, content);
  if (!isAwaited(call, own(steps, step)?.status, isEnd(stateOf(row.state)))) return undefined;
  const [asked] = await session.run(readSagaCall, sagaId, step, op);
  if (asked?.round !== call.round)
    throw stale(sagaId, `step ${step} has since been called again with another key`);
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

/** @throws SagaCallbackRefusedError when no call awaits the reply */
function isAwaited(
  { sagaId, step, op }: CallToSign,
  status: StepStatus | undefined,
  ended: boolean,
): boolean {
  const isUndo = UNDOING.has(op);
  if (status !== undefined && (isUndo ? status === 'undone' : ANSWERED.has(status))) return false;
  const isAwaiting = status !== undefined && (isUndo ? UNDO_AWAITING : AWAITING).has(status);
  if (ended || !isAwaiting) throw stale(sagaId, `step ${step} is ${status ?? 'not begun'} now`);
  return true;
}

function forged(sagaId: string | null): SagaCallbackRefusedError {
  return new SagaCallbackRefusedError('forged', sagaId, 'no service whose sagas are here has made its token');
}

function stale(sagaId: string, why: string): SagaCallbackRefusedError {
  return new SagaCallbackRefusedError('stale', sagaId, why);
}
