import type { SagaCommandContract } from './saga-command.js';
import type { ForwardAction, SagaDefinition, StepDefinition, UndoAction } from './saga-definition.js';

/** What a step does and what undoes it; for a list, what is done for each item: that does not depend on the item. */
function actionsOf({ forward, undo }: StepDefinition): (ForwardAction | UndoAction | undefined)[] {
  if (forward.kind !== 'each') return [forward, undo];
  const element = forward.element(undefined, '');
  return [element.forward, element.undo];
}

/** Everything that a definition sends: of its steps, of items of lists, and reminders. */
export function commandsOf({ steps }: Pick<SagaDefinition, 'steps'>): SagaCommandContract[] {
  return steps.flatMap(actionsOf).flatMap((action) => {
    if (action?.kind === 'command') return action.command;
    const waits = action?.kind === 'signal' || action?.kind === 'event';
    return waits ? (action.remind?.command ?? []) : [];
  });
}

/** What a step, or the step of an item, does and what undoes it. */
export function actionsOfStep(
  { steps }: Pick<SagaDefinition, 'steps'>,
  name: string,
): (ForwardAction | UndoAction | undefined)[] {
  const [list] = name.split('[', 1);
  const found = steps.find((step) => step.name === name) ?? steps.find((step) => step.name === list);
  return found === undefined ? [] : actionsOf(found);
}
