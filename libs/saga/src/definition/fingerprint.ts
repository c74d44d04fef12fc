import { createHash } from 'node:crypto';
import type { SagaCommandContract } from './saga-command.js';
import type { ForwardAction, SagaDefinition, StepDefinition, UndoAction } from './saga-definition.js';

const known = new WeakMap<SagaDefinition, string>();

/**
 * The parts of a definition that its active sagas rely on, one line per step: its name, its action and where that goes, its
 * compensation, and its predecessors. Policies, times and functions may change; steps marked as `patched` are left out.
 */
export function shapeOf({ steps }: SagaDefinition): string[] {
  return steps.flatMap((step) => (step.patched === undefined ? lineOf(step, steps) : []));
}

/** The fingerprint of these lines: SHA-256, in base64url. */
export function fingerprintOf(definition: SagaDefinition): string {
  const before = known.get(definition);
  if (before !== undefined) return before;
  const made = createHash('sha256')
    .update(JSON.stringify(shapeOf(definition)))
    .digest('base64url');
  known.set(definition, made);
  return made;
}

/** The differences between two definitions, in words. */
export function differencesOf(before: readonly string[], now: readonly string[]): string[] {
  const nameOf = (line: string): string => line.slice(0, line.indexOf(':'));
  const old = new Map(before.map((line) => [nameOf(line), line]));
  const young = new Map(now.map((line) => [nameOf(line), line]));
  const gone = [...old.keys()].filter((name) => !young.has(name)).map((name) => `step ${name} is gone`);
  const changed = [...young].flatMap(([name, line]) => {
    const was = old.get(name);
    if (was === undefined) return [`step ${name} is new`];
    return was === line ? [] : [`step ${line} was ${was.slice(name.length + 2)}`];
  });
  const found = [...gone, ...changed];
  return found.length === 0 ? ['its steps are in another order'] : found;
}

function lineOf(step: StepDefinition, steps: readonly StepDefinition[]): string {
  const { name, branch, forward, undo, pivot } = step;
  const undone = undo === undefined ? '' : `, undone by ${textOf(undo)}`;
  const as = branch === name ? '' : `, known as ${branch}`;
  const before = namesBefore(step, steps);
  const after = before.length === 0 ? '' : `, after ${before.join(' and ')}`;
  return `${name}: ${textOf(forward)}${undone}${as}${after}${pivot ? ', pivot' : ''}`;
}

/** A patched step is skipped: its successors follow its predecessors. */
function namesBefore({ after }: StepDefinition, steps: readonly StepDefinition[]): string[] {
  const names = after.flatMap((index) => {
    const step = steps[index] as StepDefinition;
    return step.patched === undefined ? [step.name] : namesBefore(step, steps);
  });
  return [...new Set(names)].toSorted((a, b) => (a < b ? -1 : 1));
}

function textOf(action: ForwardAction | UndoAction): string {
  switch (action.kind) {
    case 'command':
      return `${action.op} to ${destinationOf(action.command)}`;
    case 'signal':
      return `signal ${action.signal}`;
    case 'event':
      return `event of ${action.topic}`;
    case 'each': {
      const { forward, undo } = action.element(undefined, '');
      return `a list, each ${textOf(forward)}${undo === undefined ? '' : ` undone by ${textOf(undo)}`}`;
    }
    case 'child':
      return 'type' in action ? `child ${action.type} version ${action.version}` : 'its own compensation';
    case 'local':
    case 'sleep':
      return action.kind;
  }
}

/** An endpoint by a hash of its URL, which must not be stored in this table. */
function destinationOf({ topic, url, http }: SagaCommandContract): string {
  if (url === undefined || http === undefined) return topic;
  const hash = createHash('sha256').update(`${http.method} ${url}`).digest('base64url').slice(0, 12);
  return `HTTP (${hash})`;
}
