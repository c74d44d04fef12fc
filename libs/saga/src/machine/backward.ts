import type {
  CommandAction,
  LocalAction,
  StepDefinition,
  StepPolicy,
} from '../definition/saga-definition.js';
import { delayAfter } from '../definition/step-policy.js';
import type { ChildEvent } from './saga-event.js';
import { CLEAN, type TransitionDraft } from './transition-draft.js';

/** Starts the compensation: a running step may be done, so it is undone like a step that is done. */
export function compensate(draft: TransitionDraft, reason: string): void {
  draft.direction = 'backward';
  draft.cause = reason;
  draft.deadlineMs = null;
  for (const step of draft.steps) {
    const status = draft.peek(step)?.status;
    if (status !== 'running' && status !== 'waiting' && status !== 'stuck') continue;
    const { kind } = step.forward;
    // A reply that was unusable means that the step was done.
    if (draft.record(step).unused !== undefined) draft.end(step, 'done');
    // What has no end yet has surely not happened: a local action, and what was waited for.
    else if (kind === 'command' || kind === 'child')
      draft.end(step, isBegun(draft, step) ? 'failed' : 'rejected', draft.record(step).reason ?? reason);
    else draft.end(step, 'rejected', draft.record(step).reason ?? reason);
  }
  // `onEnd` has to run again for the new end.
  if (draft.endStep !== undefined) draft.remove(draft.endStep);
}

/** A step that was stuck before its first command was sent has nothing to undo. */
function isBegun(draft: TransitionDraft, step: StepDefinition): boolean {
  return draft.record(step).attempt > 0;
}

export function undoDone(draft: TransitionDraft, step: StepDefinition): void {
  if (!draft.isUndo(step))
    return draft.ignore(`step ${step.name} is ${draft.peek(step)?.status ?? 'not begun'}`);
  draft.end(step, 'undone');
}

export function undoRefused(draft: TransitionDraft, step: StepDefinition, error: string): void {
  if (!draft.isUndo(step)) return draft.ignore(`step ${step.name} is not being undone`);
  draft.stick(step, `its compensation was rejected: ${error}`);
}

export function undoFailed(
  draft: TransitionDraft,
  step: StepDefinition,
  attempt: number,
  error: string,
  final = false,
): void {
  const record = draft.peek(step);
  if (record?.status !== 'undoing' || record.attempt !== attempt)
    return draft.ignore(`attempt ${attempt} of the compensation of ${step.name} is not running`);
  const policy = policyOf(step);
  if (final || attempt - record.forgiven >= policy.maxAttempts) return draft.stick(step, error);
  const dueMs = draft.nowMs + delayAfter(policy, attempt - record.forgiven);
  draft.put(step, { status: 'undo-waiting', dueMs, reason: error });
}

export function undoTimedOut(draft: TransitionDraft, step: StepDefinition): void {
  const record = draft.record(step);
  if (record.attempt - record.forgiven >= policyOf(step).maxAttempts)
    draft.stick(step, 'its compensation did not reply in time');
  else draft.attempt(step);
}

/** Reports the state of a child that is to be undone. */
export function undoneChildTold(
  draft: TransitionDraft,
  step: StepDefinition,
  { state, pivot, refused = false }: ChildEvent,
): void {
  if (state === 'COMPENSATED' || state === 'CANCELLED') return undoDone(draft, step);
  if (refused || (state === 'COMPLETED' && pivot))
    return draft.stick(step, `its child is ${state} and has passed its pivot: it is not undone`);
  draft.ignore(`child ${step.name} was ${state} before it was compensated`);
}

/** Undoes what can be undone now, last step first. @returns whether anything was started */
export function goBackward(draft: TransitionDraft): boolean {
  const { steps } = draft;
  const open = draft.openInLanes();
  const clear = new Map<number, boolean>();
  for (let index = steps.length - 1; index >= 0; index -= 1) {
    const step = steps[index] as StepDefinition;
    const record = draft.peek(step);
    if (record?.status !== 'done' && record?.status !== 'failed') continue;
    if (!isClearAfter(draft, index, clear) || !draft.hasCapacity(step, open)) continue;
    if (step.undo === undefined) draft.end(step, 'undone');
    else {
      const { begunMs, ...rest } = record;
      const origin = { begunMs: begunMs ?? 0, isKnown: record.status === 'done' };
      draft.remove(step);
      draft.put(step, { ...rest, status: 'undoing', attempt: 0, forgiven: 0, origin });
      draft.attempt(step);
    }
    return true;
  }
  return false;
}

/** Whether nothing after a step is left to undo. A skipped step is looked through to the steps after it. */
function isClearAfter(draft: TransitionDraft, index: number, known: Map<number, boolean>): boolean {
  const before = known.get(index);
  if (before !== undefined) return before;
  const isClear = (draft.next[index] ?? []).every((later) => {
    const status = draft.peek(draft.steps[later] as StepDefinition)?.status;
    if (status === undefined) return true;
    return CLEAN.has(status) && (status !== 'skipped' || isClearAfter(draft, later, known));
  });
  known.set(index, isClear);
  return isClear;
}

function policyOf({ undo }: StepDefinition): StepPolicy {
  return (undo as CommandAction | LocalAction).policy;
}
