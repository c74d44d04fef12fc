import type { SagaCommandContract } from './saga-command.js';
import type { ForwardAction, SagaDefinition, StepDefinition, UndoAction } from './saga-definition.js';

/** The action and the compensation of a step; for a list, those of each item, which do not depend on the item. */
function actionsOf({ forward, undo }: StepDefinition): (ForwardAction | UndoAction | undefined)[] {
  if (forward.kind !== 'each') return [forward, undo];
  const element = forward.element(undefined, '');
  return [element.forward, element.undo];
}

/** Every command that a definition sends: of steps, of list items, and reminders. */
export function commandsOf({ steps }: Pick<SagaDefinition, 'steps'>): SagaCommandContract[] {
  return steps.flatMap(actionsOf).flatMap((action) => {
    if (action?.kind === 'command') return action.command;
    const waits = action?.kind === 'signal' || action?.kind === 'event';
    return waits ? (action.remind?.command ?? []) : [];
  });
}

/** The action and the compensation of a step or of an item's step. */
export function actionsOfStep(
  { steps }: Pick<SagaDefinition, 'steps'>,
  name: string,
): (ForwardAction | UndoAction | undefined)[] {
  const [list] = name.split('[', 1);
  const found = steps.find((step) => step.name === name) ?? steps.find((step) => step.name === list);
  return found === undefined ? [] : actionsOf(found);
}
