import type { EachAction, SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import { nextSteps } from '../definition/next-steps.js';
import { type FrozenItem, type SagaInstance } from './saga-instance.js';
import { END_STEP } from '../definition/names.js';

/** The steps of an instance: those of its definition, and one for each list item. */
export interface InstanceSteps {
  readonly steps: readonly StepDefinition[];
  readonly next: readonly (readonly number[])[];
}

/** Longest list of a step. */
const MAX_ITEMS = 1_000;
const MAX_KEY_CHARS = 100;

/** Lists are frozen once read, so their steps can be cached per definition. */
const known = new WeakMap<SagaInstance['items'], { definition: SagaDefinition; made: InstanceSteps }>();

/**
 * The steps of an instance. Those of items come after the step of their list and before what follows it; those
 * of changes that it does not know are left out.
 */
export function stepsOf(
  definition: SagaDefinition,
  instance: Pick<SagaInstance, 'items' | 'patches'>,
): InstanceSteps {
  const { items } = instance;
  if (Object.keys(items).length === 0 && patchesOf(definition).length === 0) return definition;
  const before = known.get(items);
  if (before?.definition === definition) return before.made;
  const made = expanded(definition, instance);
  known.set(items, { definition, made });
  return made;
}

/** The step that runs `onEnd`, if defined. It is separate from the others. */
export function endStepOf({ onEnd }: SagaDefinition): StepDefinition | undefined {
  if (onEnd === undefined) return undefined;
  return {
    name: END_STEP,
    branch: END_STEP,
    after: [],
    when: undefined,
    pivot: false,
    // It gets the end, not the data: the engine provides it.
    forward: { kind: 'local', run: async () => {}, policy: onEnd.policy },
    undo: undefined,
  };
}

/** The changes of a definition within its version. */
export function patchesOf({ steps }: SagaDefinition): string[] {
  return [...new Set(steps.flatMap(({ patched, unpatched }) => patched ?? unpatched ?? []))];
}

function expanded(
  { steps: defined }: SagaDefinition,
  { items, patches }: Pick<SagaInstance, 'items' | 'patches'>,
): InstanceSteps {
  const steps: StepDefinition[] = [];
  /** Maps the index of a step to the new indexes of itself and its items. */
  const indexes: (readonly number[])[] = [];
  for (const step of defined) {
    const after = step.after.flatMap((index) => indexes[index] ?? []);
    const { forward, name, patched, unpatched } = step;
    const isMissing =
      (patched !== undefined && !patches.includes(patched)) ||
      (unpatched !== undefined && patches.includes(unpatched));
    if (isMissing) {
      indexes.push(after);
      continue;
    }
    const own = steps.push({ ...step, after }) - 1;
    const list = forward.kind === 'each' && Object.hasOwn(items, name) ? (items[name] ?? []) : [];
    const elements = list.map((item) => steps.push(elementStep(name, forward as EachAction, item, own)) - 1);
    indexes.push([own, ...elements]);
  }
  return { steps, next: nextSteps(steps) };
}

function elementStep(of: string, each: EachAction, { key, item }: FrozenItem, own: number): StepDefinition {
  const name = elementName(of, key);
  const { concurrency } = each;
  const common = { name, branch: name, after: [own], when: undefined, pivot: false };
  return { ...common, lane: { of, key, concurrency }, ...each.element(item, key) };
}

/** The name of an item's step. */
function elementName(step: string, key: string): string {
  return `${step}[${key}]`;
}

/**
 * The items of a step's list, as they are stored.
 * @throws RangeError, TypeError for an invalid list, and whatever the functions of the definition throw
 */
export function freeze({ items, key }: EachAction, data: SagaInstance['data']): FrozenItem[] {
  const list: unknown = items(data);
  if (!Array.isArray(list)) throw new TypeError('items must return an array');
  if (list.length > MAX_ITEMS)
    throw new RangeError(`it has ${list.length} items; the maximum is ${MAX_ITEMS}`);
  const keys = new Set<string>();
  return list.map((item: unknown, index) => {
    const name: unknown = key(item, data);
    if (typeof name !== 'string' || name === '' || name.length > MAX_KEY_CHARS || /[\p{Cc}[\]]/u.test(name))
      throw new TypeError(
        `the key of item ${index} must be a string of 1 to ${MAX_KEY_CHARS} characters, without brackets and control characters`,
      );
    if (keys.has(name)) throw new RangeError(`two of its items have the key ${name}`);
    keys.add(name);
    return { key: name, item };
  });
}
