import { own } from '@waybill/kernel/internal';
import type { SagaOp } from '../definition/saga-command.js';
import type { SagaEvent, SagaOutput } from './saga-event.js';
import type { SagaInstance } from './saga-instance.js';

const UNDOING: ReadonlySet<SagaOp> = new Set<SagaOp>(['compensate', 'cancel']);

/** Whether an output is void: its operation, in this attempt, is no longer the current one. */
export function isVoid({ steps }: SagaInstance, output: SagaOutput): boolean {
  if (output.type === 'reminder') return own(steps, output.step)?.status !== 'running';
  if (output.type !== 'command' && output.type !== 'local' && output.type !== 'child') return false;
  const isUndo = output.type === 'command' ? UNDOING.has(output.op) : output.type === 'local' && output.undo;
  const record = own(steps, output.step);
  return record?.status !== (isUndo ? 'undoing' : 'running') || record.attempt !== output.attempt;
}

/** Whether a message of a transition is still wanted at its end. */
export function isWithdrawn(instance: SagaInstance, output: SagaOutput): boolean {
  return (output.type === 'command' || output.type === 'reminder') && isVoid(instance, output);
}

/** What a transition has actually done of what it required, given the results of its local actions. */
export function doneOf(
  instance: SagaInstance,
  events: readonly SagaEvent[],
  outputs: readonly SagaOutput[],
): SagaOutput[] {
  const hasRun = ({ step, undo, attempt }: Extract<SagaOutput, { type: 'local' }>): boolean =>
    events.some(
      (event) =>
        event.type === 'local' && event.step === step && event.undo === undo && event.attempt === attempt,
    );
  return outputs.filter((output) => {
    if (output.type === 'local') return hasRun(output) || !isVoid(instance, output);
    return !isWithdrawn(instance, output);
  });
}
