import { describeError } from '@waybill/kernel';
import { isPlainObject, own, plainJson } from '@waybill/kernel/internal';
import type {
  CommandAction,
  LocalAction,
  SagaData,
  StepDefinition,
  StepPolicy,
} from '../definition/saga-definition.js';
import { delayAfter } from '../definition/step-policy.js';
import { compensate } from './backward.js';
import type { ChildEvent } from './saga-event.js';
import type { StepStatus } from './saga-instance.js';
import { SagaRejectedError } from './saga-rejected-error.js';
import type { TransitionDraft } from './transition-draft.js';

/** Statuses of steps that go no further forward. */
const PASSED: ReadonlySet<StepStatus> = new Set<StepStatus>(['done', 'skipped']);
const UNDER_WAY: ReadonlySet<StepStatus> = new Set<StepStatus>(['running', 'waiting', 'stuck']);

/** A step is done; its reply is applied. */
export function forwardDone(draft: TransitionDraft, step: StepDefinition, payload: unknown): void {
  const status = draft.peek(step)?.status;
  const late = status === 'failed';
  if (!late && !draft.isIn(step, UNDER_WAY))
    return draft.ignore(`step ${step.name} is ${status ?? 'not begun'}`);
  try {
    draft.add(resultOf(draft, step, payload));
  } catch (error) {
    if (late) return draft.ignore(`the reply of step ${step.name} came late and is not usable`);
    if (!(error instanceof SagaRejectedError)) {
      draft.put(step, { unused: { payload } });
      return draft.stick(step, `the result of step ${step.name} is not usable: ${describeError(error)}`);
    }
    // It has happened, but the saga rejects its result: it is undone like the others.
    draft.end(step, 'done', error.reason);
    return giveUp(draft, step, `step ${step.name}: ${error.reason}`, false);
  }
  draft.end(step, 'done');
}

function resultOf(draft: TransitionDraft, step: StepDefinition, payload: unknown): object | undefined {
  const { forward } = step;
  // `then` sees the same value at every try: it gets a copy of what was stored.
  const seen = payload === undefined ? undefined : (JSON.parse(JSON.stringify(payload)) as unknown);
  const result =
    forward.kind === 'local' || forward.kind === 'sleep' || forward.kind === 'each'
      ? seen
      : forward.apply(seen as never, draft.data);
  return step.lane === undefined ? asObject(result) : underItem(draft, step.lane, asJson(result));
}

/** The result of an item is stored in the data under the names of its list and of itself. */
export function underItem(
  { data }: TransitionDraft,
  { of, key }: NonNullable<StepDefinition['lane']>,
  result: unknown,
): object {
  return { [of]: { ...(own(data, of) as object | undefined), [key]: result ?? null } };
}

function asObject(value: unknown): object | undefined {
  if (value === undefined || value === null) return undefined;
  assertPlain(value);
  return asJson(value) as object;
}

function asJson(value: unknown): unknown {
  if (value === undefined) return undefined;
  // The replies to TCC tries are stored by branch name, whatever those names are.
  return JSON.parse(JSON.stringify(plainJson(value, 'what it adds', 'ourselves')));
}

/** The business says no. */
export function forwardRejected(draft: TransitionDraft, step: StepDefinition, reason: string): void {
  const status = draft.peek(step)?.status;
  if (status === 'failed') return draft.end(step, 'rejected', reason);
  if (!draft.isIn(step, UNDER_WAY)) return draft.ignore(`step ${step.name} is ${status ?? 'not begun'}`);
  if (step === draft.endStep || (!draft.mayCompensate() && !step.pivot))
    return draft.stick(step, `rejected: ${reason}`);
  draft.end(step, 'rejected', reason);
  giveUp(draft, step, `step ${step.name} was rejected: ${reason}`, false);
}

/**
 * An attempt has failed at the participant, which will not retry it by itself.
 * @param final whether it must not be retried
 */
export function forwardFailed(
  draft: TransitionDraft,
  step: StepDefinition,
  attempt: number,
  error: string,
  final = false,
): void {
  const record = draft.peek(step);
  if (record?.status !== 'running' || record.attempt !== attempt)
    return draft.ignore(`attempt ${attempt} of step ${step.name} is not running`);
  const policy = policyOf(step.forward);
  if (final || attempt - record.forgiven >= policy.maxAttempts) return spent(draft, step, error);
  const dueMs = draft.nowMs + delayAfter(policy, attempt - record.forgiven);
  draft.put(step, { status: 'waiting', dueMs, reason: error });
}

export function forwardTimedOut(draft: TransitionDraft, step: StepDefinition): void {
  const { forward } = step;
  const record = draft.record(step);
  if (forward.kind === 'sleep') return draft.end(step, 'done');
  if (forward.kind === 'signal' || forward.kind === 'event') {
    if (forward.onTimeout === 'continue') return draft.end(step, 'done');
    const why = `step ${step.name} received nothing in time`;
    draft.end(step, 'rejected', why);
    return giveUp(draft, step, why, false);
  }
  const policy = policyOf(forward);
  if (record.attempt - record.forgiven >= policy.maxAttempts) spent(draft, step, 'no reply in time');
  // It has waited already. The barrier sees to it that a second command does nothing twice.
  else draft.attempt(step);
}

/** The attempts are used up. Whether a command has happened is unknown; a local action certainly has not. */
function spent(draft: TransitionDraft, step: StepDefinition, error: string): void {
  if (!draft.mayCompensate() || step === draft.endStep) return draft.stick(step, error);
  draft.end(step, step.forward.kind === 'local' ? 'rejected' : 'failed', error);
  giveUp(draft, step, `step ${step.name} was given up: ${error}`, true);
}

function giveUp(draft: TransitionDraft, step: StepDefinition, reason: string, maybeDone: boolean): void {
  if (draft.direction === 'backward') return;
  // A pivot that has certainly not happened does not prevent compensation.
  if (!draft.mayCompensate() && (maybeDone || !step.pivot)) return draft.stick(step, reason);
  compensate(draft, reason);
}

/** The participant is still working: the step's time starts again. */
export function ongoing(draft: TransitionDraft, step: StepDefinition): void {
  const status = draft.peek(step)?.status;
  const action = status === 'running' ? step.forward : status === 'undoing' ? step.undo : undefined;
  if (action?.kind !== 'command') return draft.ignore(`step ${step.name} is not running`);
  draft.put(step, { dueMs: draft.nowMs + action.policy.timeoutMs });
}

/** A child reports that it has passed its pivot, has ended, or will not be undone. */
export function childTold(
  draft: TransitionDraft,
  step: StepDefinition,
  { state, data, pivot }: ChildEvent,
): void {
  if (pivot && draft.isIn(step, UNDER_WAY)) draft.put(step, { pivot });
  if (state === 'COMPLETED') return forwardDone(draft, step, data);
  if (state === 'COMPENSATED' || state === 'CANCELLED') {
    if (draft.isIn(step, UNDER_WAY)) draft.put(step, { pivot: false });
    return forwardRejected(draft, step, `child saga is ${state}`);
  }
  if (!pivot || !draft.isIn(step, UNDER_WAY)) draft.ignore(`child ${step.name} is ${state}`);
}

/** Starts the steps that can start now. @returns whether there was any */
export function goForward(draft: TransitionDraft): boolean {
  // An operator must decide first: nothing new starts while a step is stuck.
  if (draft.statuses().includes('stuck')) return false;
  const { steps } = draft;
  const open = draft.openInLanes();
  for (const step of steps) {
    if (draft.peek(step) !== undefined || !draft.hasCapacity(step, open)) continue;
    if (!step.after.every((index) => draft.isIn(steps[index] as StepDefinition, PASSED))) continue;
    begin(draft, step);
    return true;
  }
  return false;
}

/** Whether every step is done or was skipped. */
export function isThrough(draft: TransitionDraft): boolean {
  return draft.steps.every((step) => draft.isIn(step, PASSED));
}

function begin(draft: TransitionDraft, step: StepDefinition): void {
  try {
    if (step.when !== undefined && !step.when(draft.data)) {
      draft.put(step, { status: 'skipped', attempt: 0 });
      return;
    }
  } catch (error) {
    return draft.stick(step, `its condition failed: ${describeError(error)}`);
  }
  draft.attempt(step);
  if (step.forward.kind !== 'signal' || !draft.isRunning(step)) return;
  const waiting = draft.takeSignal(step.forward.signal);
  if (waiting !== undefined) forwardDone(draft, step, waiting.payload);
}

/** A signal arrived: for a step that waits for it, or to be kept until one does. */
export function signalled(
  draft: TransitionDraft,
  name: string,
  payload: unknown,
  id: string | undefined,
): void {
  const forSignal = draft.steps.filter(({ forward }) => forward.kind === 'signal' && forward.signal === name);
  const lost = (why: string): void =>
    void draft.outputs.push({ type: 'unawaited', kind: 'signal', name, payload, why });
  if (id !== undefined && draft.hasSeen(id)) return draft.ignore(`signal ${id} has arrived already`);
  const waiting = forSignal.find((step) => draft.isRunning(step));
  if (waiting !== undefined) return forwardDone(draft, waiting, payload);
  if (forSignal.length === 0) return lost('no step waits for signals of that name');
  if (draft.direction === 'backward') return lost('the saga is being compensated');
  if (!forSignal.some((step) => draft.peek(step) === undefined || draft.isOpen(step)))
    return lost('the step that waited for it has ended');
  draft.keepSignal(name, { id: id ?? null, payload: payload ?? null });
}

function policyOf(action: { readonly kind: string } | undefined): StepPolicy {
  return (action as CommandAction | LocalAction).policy;
}

/** @throws TypeError for what cannot be added to a saga's data */
function assertPlain(value: unknown): asserts value is SagaData {
  if (!isPlainObject(value)) throw new TypeError('it must be a plain object');
}
