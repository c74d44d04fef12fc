import { describeError } from '@waybill/kernel';
import type { SagaData, SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import {
  compensate,
  goBackward,
  undoDone,
  undoFailed,
  undoneChildTold,
  undoRefused,
  undoTimedOut,
} from './backward.js';
import {
  childTold,
  forwardDone,
  forwardFailed,
  forwardRejected,
  forwardTimedOut,
  goForward,
  isThrough,
  ongoing,
  signalled,
  underItem,
} from './forward.js';
import { isFinal } from '../definition/step-policy.js';
import { patchesOf } from './items.js';
import type { SagaEvent, SagaOutput } from './saga-event.js';
import { isEnd, type SagaInstance, type SagaState } from './saga-instance.js';
import { CLEAN, TransitionDraft } from './transition-draft.js';

/** The result of an event. */
export interface Transition {
  readonly instance: SagaInstance;
  /** In the order in which to do them. */
  readonly outputs: readonly SagaOutput[];
}

/** The values of a new instance. */
export interface NewInstance {
  readonly id: string;
  readonly key: string;
  readonly data: SagaData;
  /** Default: the definition's. */
  readonly deadlineMs?: number | null | undefined;
  /** In milliseconds since 1970. Default 0: for definitions that use no instant. */
  readonly startedAtMs?: number;
}

/** A new instance, before its `start`. */
export function newInstance(
  definition: SagaDefinition,
  { id, key, data, deadlineMs = definition.deadlineMs, startedAtMs = 0 }: NewInstance,
): SagaInstance {
  return {
    id,
    key,
    state: 'RUNNING',
    direction: 'forward',
    data,
    steps: {},
    signals: {},
    signalIds: [],
    items: {},
    deadlineMs,
    cancelled: false,
    reason: null,
    cause: null,
    patches: patchesOf(definition),
    startedAtMs,
  };
}

/**
 * The state machine of sagas: the instance after an event, and what has to be done. It is a pure
 * function: the same event at the same time has the same result, so that recorded sagas can be replayed.
 *
 * @param nowMs milliseconds since the saga's start, by the database's clock
 */
export function nextTransition(
  definition: SagaDefinition,
  instance: SagaInstance,
  event: SagaEvent,
  nowMs: number,
): Transition {
  if (isEnd(instance.state) && !isUndoing(instance, event)) {
    return { instance, outputs: [{ type: 'ignored', why: `the saga is ${instance.state}` }] };
  }
  const draft = new TransitionDraft(definition, instance, nowMs);
  handle(draft, event);
  const state = advanceSteps(draft);
  if (isEnd(state)) draft.leave(state);
  return { instance: draft.instance(state), outputs: draft.outputs };
}

/** A completed child is undone with its parent, or on an operator's order. */
function isUndoing({ state }: SagaInstance, { type }: SagaEvent): boolean {
  return (type === 'undo' || type === 'compensate') && state === 'COMPLETED';
}

/** Starts every step that can start now. @returns the state of the saga */
function advanceSteps(draft: TransitionDraft): SagaState {
  // A step may end as soon as it starts: by a condition, a signal that has arrived already, a missing compensation.
  for (let moved = true; moved;) moved = draft.direction === 'forward' ? goForward(draft) : goBackward(draft);
  const statuses = draft.statuses();
  if (statuses.includes('stuck') || statuses.includes('undo-stuck')) return 'STUCK';
  const isForward = draft.direction === 'forward';
  const underWay = isForward ? 'RUNNING' : 'COMPENSATING';
  const isOver = isForward ? isThrough(draft) : draft.steps.every((step) => isClean(draft, step));
  if (!isOver) return underWay;
  draft.deadlineMs = null;
  if (!hasToldOfEnd(draft)) return underWay;
  return isForward ? 'COMPLETED' : draft.cancelled ? 'CANCELLED' : 'COMPENSATED';
}

function isClean(draft: TransitionDraft, step: StepDefinition): boolean {
  return draft.peek(step) === undefined || draft.isIn(step, CLEAN);
}

function hasToldOfEnd(draft: TransitionDraft): boolean {
  const { endStep } = draft;
  if (endStep === undefined) return true;
  const status = draft.peek(endStep)?.status;
  if (status === undefined) draft.attempt(endStep);
  return status === 'done' || status === 'skipped';
}

function handle(draft: TransitionDraft, event: SagaEvent): void {
  switch (event.type) {
    case 'start':
      return;
    case 'reply':
      return handleReply(draft, event);
    case 'local':
      return handleLocal(draft, event);
    case 'child':
      return handleChild(draft, event);
    case 'due':
      return handleDue(draft);
    case 'signal':
      return signalled(draft, event.name, event.payload, event.id);
    case 'event':
      return handleEvent(draft, event.step, event.payload);
    case 'unsendable':
      return draft.stick(draft.step(event.step), `its command cannot be sent: ${event.error}`);
    case 'retry':
      return retry(draft, event.step);
    case 'skip':
      return resolve(draft, event.step, {}, 'skipped');
    case 'resolve':
      return resolve(draft, event.step, event.data, 'done');
    case 'undo':
      return undo(draft, event.reason);
    case 'compensate':
      // An operator may order this even when the saga could only go forward.
      if (draft.direction === 'backward') return draft.ignore('it is already being compensated');
      return compensate(draft, event.reason);
    case 'cancel':
      return turn(draft, event.reason, true);
    case 'turn':
      return turn(draft, event.reason, false);
  }
}

type EventOf<Type extends SagaEvent['type']> = Extract<SagaEvent, { readonly type: Type }>;

function handleReply(
  draft: TransitionDraft,
  { step: name, op, attempt, status, payload, error, holds }: EventOf<'reply'>,
): void {
  const step = draft.find(name);
  if (step === undefined) return draft.ignore(`step ${name} does not exist`);
  const { forward, undo } = step;
  if (holds === true && draft.peek(step) !== undefined) draft.put(step, { holds });
  if (forward.kind === 'command' && forward.op === op) {
    if (status === 'done') forwardDone(draft, step, payload);
    else if (status === 'rejected') forwardRejected(draft, step, error ?? 'rejected');
    else if (status === 'failed')
      forwardFailed(draft, step, attempt, error ?? 'failed', isFinal(forward.policy, error));
    else ongoing(draft, step);
  } else if (undo?.kind === 'command' && undo.op === op) {
    if (status === 'done') undoDone(draft, step);
    else if (status === 'rejected') undoRefused(draft, step, error ?? 'rejected');
    else if (status === 'failed')
      undoFailed(draft, step, attempt, error ?? 'failed', isFinal(undo.policy, error));
    else ongoing(draft, step);
  } else draft.ignore(`step ${name} sends no ${op}`);
}

function handleLocal(draft: TransitionDraft, event: EventOf<'local'>): void {
  const { step: name, undo, attempt, status, payload, error = status, final } = event;
  const step = draft.step(name);
  if (status === 'unusable') draft.stick(step, `its result is not usable, so it was rolled back: ${error}`);
  else if (!undo) {
    if (status === 'done') forwardDone(draft, step, payload);
    else if (status === 'rejected') forwardRejected(draft, step, error);
    else forwardFailed(draft, step, attempt, error, final);
  } else if (status === 'done') undoDone(draft, step);
  else if (status === 'rejected') undoRefused(draft, step, error);
  else undoFailed(draft, step, attempt, error, final);
}

function handleChild(draft: TransitionDraft, event: EventOf<'child'>): void {
  const step = draft.find(event.step);
  if (step?.forward.kind !== 'child') return draft.ignore(`child ${event.step} does not exist`);
  if (draft.isUndo(step)) undoneChildTold(draft, step, event);
  else childTold(draft, step, event);
}

function handleEvent(draft: TransitionDraft, name: string, payload: unknown): void {
  const step = draft.find(name);
  if (step !== undefined && step.forward.kind === 'event' && draft.isRunning(step))
    return forwardDone(draft, step, payload);
  const why = `step ${name} no longer waits for it`;
  draft.outputs.push({ type: 'unawaited', kind: 'event', name, payload, why });
}

function handleDue(draft: TransitionDraft): void {
  const { steps, endStep } = draft;
  for (const step of endStep === undefined ? steps : [...steps, endStep]) {
    remind(draft, step);
    const record = draft.peek(step);
    if (record === undefined || record.dueMs === null || record.dueMs > draft.nowMs) continue;
    if (record.status === 'waiting' || record.status === 'undo-waiting') draft.attempt(step);
    else if (record.status === 'running') forwardTimedOut(draft, step);
    else if (record.status === 'undoing') undoTimedOut(draft, step);
  }
  if (draft.deadlineMs !== null && draft.deadlineMs <= draft.nowMs) {
    draft.deadlineMs = null;
    if (draft.mayCompensate()) compensate(draft, 'its deadline has passed');
    else draft.ignore('its deadline has passed, and it can only go forward');
  }
}

function remind(draft: TransitionDraft, step: StepDefinition): void {
  const { forward } = step;
  const record = draft.peek(step);
  if (record?.status !== 'running' || record.remind === undefined || record.remind.dueMs > draft.nowMs)
    return;
  if ((forward.kind !== 'signal' && forward.kind !== 'event') || forward.remind === null) return;
  const { everyMs, command, request } = forward.remind;
  const sent = record.remind.sent + 1;
  // Reminders that were missed while no process ran are not sent later.
  const missed = Math.floor((draft.nowMs - record.remind.dueMs) / everyMs);
  draft.put(step, { remind: { dueMs: record.remind.dueMs + (missed + 1) * everyMs, sent } });
  try {
    const { topic } = command;
    const payload = request(draft.data);
    const begunMs = draft.nowMs;
    draft.outputs.push({ type: 'reminder', step: step.name, number: sent, begunMs, topic, payload });
  } catch (error) {
    draft.ignore(`reminder ${sent} of step ${step.name} cannot be made: ${describeError(error)}`);
  }
}

function retry(draft: TransitionDraft, name: string): void {
  const step = draft.find(name);
  const record = step && draft.peek(step);
  if (step === undefined || record === undefined) return draft.ignore(`step ${name} is not running`);
  const { status, unused, attempt: forgiven } = record;
  if (status !== 'stuck' && status !== 'undo-stuck' && status !== 'waiting' && status !== 'undo-waiting')
    return draft.ignore(`step ${name} is ${status}: it is neither stuck nor waiting for another attempt`);
  // Its reply was unusable; it may be usable now.
  if (unused !== undefined && status === 'stuck') return forwardDone(draft, step, unused.payload);
  draft.put(step, { forgiven });
  draft.attempt(step, true);
}

function resolve(draft: TransitionDraft, name: string, data: SagaData, as: 'done' | 'skipped'): void {
  const step = draft.find(name);
  if (step === undefined || !draft.isOpen(step)) return draft.ignore(`step ${name} is not running`);
  draft.add(step.lane === undefined || as === 'skipped' ? data : underItem(draft, step.lane, data));
  draft.end(step, draft.isUndo(step) ? 'undone' : as, draft.record(step).reason);
}

/** Its parent is compensated. After its pivot it continues. */
function undo(draft: TransitionDraft, reason: string): void {
  if (draft.direction === 'backward') return draft.ignore('it is already being compensated');
  if (draft.mayCompensate()) return compensate(draft, reason);
  draft.outputs.push({ type: 'refuse-undo' });
}

/** Its service or an operator cancels it. */
function turn(draft: TransitionDraft, reason: string, cancelled: boolean): void {
  if (draft.direction === 'backward') return draft.ignore('it is already being compensated');
  if (!draft.mayCompensate()) return draft.ignore('it can only go forward: it has passed its pivot');
  draft.cancelled = cancelled;
  compensate(draft, reason);
}

/** Whether an instance has passed a pivot: its own, or one of a child. */
export function hasPassedPivot(definition: SagaDefinition, instance: SagaInstance): boolean {
  return new TransitionDraft(definition, instance, 0).hasPassedPivot();
}
