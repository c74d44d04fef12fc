import type { SagaData, SagaDefinition } from '../definition/saga-definition.js';
import type { SagaEvent, SagaOutput } from './saga-event.js';
import { isEnd, type SagaInstance } from './saga-instance.js';
import { SagaRun } from './saga-run.js';

/** What came of an event. */
export interface Transition {
  readonly instance: SagaInstance;
  /** In the order in which they are to be done. */
  readonly outputs: readonly SagaOutput[];
}

/** A new instance, before its `start`. */
export function newInstance(
  definition: SagaDefinition,
  id: string,
  key: string,
  data: SagaData,
  deadlineMs: number | null = definition.deadlineMs,
): SagaInstance {
  return {
    id,
    key,
    state: 'RUNNING',
    direction: 'forward',
    data,
    steps: {},
    signals: {},
    deadlineMs,
    cancelled: false,
    reason: null,
  };
}

/**
 * The state machine of sagas: what an event makes of an instance, and what is to be done for it. It changes nothing and
 * asks nobody: the same event at the same time has the same outcome, so that recorded sagas can be run again.
 *
 * @param nowMs milliseconds since the saga's start, by the database's clock
 */
export function advance(
  definition: SagaDefinition,
  instance: SagaInstance,
  event: SagaEvent,
  nowMs: number,
): Transition {
  if (isEnd(instance.state) && !isOfParent(instance, event)) {
    return { instance, outputs: [{ type: 'ignored', why: `the saga is ${instance.state}` }] };
  }
  const run = new SagaRun(definition, instance, nowMs);
  handle(run, event);
  run.settle();
  return { instance: run.instance(), outputs: run.outputs };
}

/** A completed child is undone when its parent is. */
function isOfParent({ state }: SagaInstance, { type }: SagaEvent): boolean {
  return type === 'undo' && state === 'COMPLETED';
}

function handle(run: SagaRun, event: SagaEvent): void {
  switch (event.type) {
    case 'start':
      return;
    case 'reply':
      return handleReply(run, event);
    case 'local':
      return handleLocal(run, event);
    case 'child':
      return handleChild(run, event);
    case 'due':
      return handleDue(run);
    case 'signal':
      return handleSignal(run, event.name, event.payload);
    case 'unsendable':
      return run.stick(run.step(event.step), `its command cannot be sent: ${event.error}`);
    case 'retry':
      return retry(run, event.step);
    case 'skip':
      return resolve(run, event.step, {}, 'skipped');
    case 'resolve':
      return resolve(run, event.step, event.data, 'done');
    case 'undo':
    case 'compensate':
      return compensate(run, event.reason);
    case 'cancel':
      return cancel(run, event.reason);
  }
}

type EventOf<Type extends SagaEvent['type']> = Extract<SagaEvent, { readonly type: Type }>;

function handleReply(
  run: SagaRun,
  { step: name, op, attempt, status, payload, error }: EventOf<'reply'>,
): void {
  const step = run.find(name);
  if (step === undefined) return run.ignore(`there is no step ${name}`);
  const { forward, undo } = step;
  if (forward.kind === 'command' && forward.op === op) {
    if (status === 'done') run.forwardDone(step, (data) => forward.apply(payload, data));
    else if (status === 'rejected') run.forwardRejected(step, error ?? 'rejected');
    else if (status === 'failed') run.forwardFailed(step, attempt, error ?? 'failed');
    else run.ongoing(step);
  } else if (undo?.kind === 'command' && undo.op === op) {
    if (status === 'done') run.undoDone(step);
    else if (status === 'rejected') run.undoRefused(step, error ?? 'rejected');
    else if (status === 'failed') run.undoFailed(step, attempt, error ?? 'failed');
    else run.ongoing(step);
  } else run.ignore(`step ${name} sends no ${op}`);
}

function handleLocal(run: SagaRun, { step: name, undo, status, payload, error }: EventOf<'local'>): void {
  const step = run.step(name);
  const { attempt } = run.record(step);
  if (!undo) {
    if (status === 'done') run.forwardDone(step, () => payload as object | undefined);
    else if (status === 'rejected') run.forwardRejected(step, error ?? 'rejected');
    else run.forwardFailed(step, attempt, error ?? 'failed');
  } else if (status === 'done') run.undoDone(step);
  else if (status === 'rejected') run.undoRefused(step, error ?? 'rejected');
  else run.undoFailed(step, attempt, error ?? 'failed');
}

function handleChild(run: SagaRun, { step: name, state, data: childData }: EventOf<'child'>): void {
  const step = run.find(name);
  if (step?.forward.kind !== 'child') return run.ignore(`there is no child ${name}`);
  const { apply } = step.forward;
  const status = run.peek(step)?.status;
  if (status === 'undoing') {
    if (state === 'COMPLETED') return run.ignore(`child ${name} completed before it was compensated`);
    return run.undoDone(step);
  }
  if (state === 'COMPLETED') return run.forwardDone(step, (data) => apply(childData, data));
  run.forwardRejected(step, `child saga is ${state}`);
}

function handleDue(run: SagaRun): void {
  for (const step of run.definition.steps) {
    const record = run.peek(step);
    if (record === undefined || record.dueMs === null || record.dueMs > run.nowMs) continue;
    if (record.status === 'waiting' || record.status === 'undo-waiting') run.attempt(step);
    else if (record.status === 'running') run.forwardTimedOut(step);
    else if (record.status === 'undoing') run.undoTimedOut(step);
  }
  if (run.deadlineMs !== null && run.deadlineMs <= run.nowMs) {
    run.deadlineMs = null;
    if (run.mayCompensate()) run.compensate('its deadline has passed');
    else run.ignore('its deadline has passed, and it can only go forward');
  }
}

function handleSignal(run: SagaRun, name: string, payload: unknown): void {
  const waiting = run.definition.steps.find(
    (step) => step.forward.kind === 'signal' && step.forward.signal === name && run.isRunning(step),
  );
  if (waiting === undefined) run.keepSignal(name, payload);
  else run.receiveSignal(waiting, payload);
}

function retry(run: SagaRun, name: string): void {
  const step = run.find(name);
  const status = step && run.peek(step)?.status;
  if (step === undefined || (status !== 'stuck' && status !== 'undo-stuck' && !isWaiting(status)))
    return run.ignore(`step ${name} is not stuck, and does not wait for another attempt`);
  run.forgive(step);
  run.attempt(step, true);
}

function isWaiting(status: string | undefined): boolean {
  return status === 'waiting' || status === 'undo-waiting';
}

function resolve(run: SagaRun, name: string, data: SagaData, as: 'done' | 'skipped'): void {
  const step = run.find(name);
  if (step === undefined || !run.isOpen(step)) return run.ignore(`step ${name} is not under way`);
  run.add(data);
  if (run.isUndo(step)) run.put(step, { status: 'undone', dueMs: null });
  else run.put(step, { status: as, dueMs: null });
}

/** An operator's, or the parent's: also when the saga could only go forward. */
function compensate(run: SagaRun, reason: string): void {
  if (run.direction === 'backward') return run.ignore('it is being compensated already');
  run.compensate(reason);
}

function cancel(run: SagaRun, reason: string): void {
  if (run.direction === 'backward') return run.ignore('it is being compensated already');
  if (!run.mayCompensate()) return run.ignore('it can only go forward: it has passed its pivot');
  run.cancelled = true;
  run.compensate(reason);
}
