import { ConfigurationError, wholeNumber } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { assertTopicName } from '@waybill/log/internal';
import { END_STEP } from '../definition/names.js';
import type { AttributesOf } from '../definition/attributes.js';
import { NAME, NAME_RULE } from '../definition/names.js';
import { nextSteps } from '../definition/next-steps.js';
import type { HttpCall, SagaOp } from '../definition/saga-command.js';
import type {
  CommandAction,
  EachAction,
  EndHandler,
  ForwardAction,
  SagaData,
  SagaDefinition,
  StepDefinition,
  StepPolicy,
  UndoAction,
} from '../definition/saga-definition.js';
import type {
  ChildStep,
  CommandStep,
  CommandUndo,
  EventStep,
  LocalStep,
  SignalStep,
  SleepTime,
  StepBase,
  WaitingStep,
} from '../definition/saga-steps.js';
import {
  childElement,
  commandAction,
  commandElement,
  localAction,
  localElement,
  nothing,
} from './step-actions.js';
import type { AnyEachStep, EachPolicies } from './each-step.js';
import { resolveStepPolicy, type StepPolicyOptions } from '../definition/step-policy.js';

const MAX_STEPS = 200;
/** How long a saga, or a step that waits for a signal, may take, in milliseconds. */
export const DEADLINE = wholeNumber({ default: 1, min: 10, max: 3_650 * 86_400_000 });

/** Options of a saga. */
export interface SagaOptions {
  /** Default 1. */
  readonly version?: number;
  /** A saga that has not passed its pivot by then is compensated, in milliseconds from its start. Default: none. */
  readonly deadlineMs?: number;
}

/** A step that is being built; it refers to other steps by name. */
export interface Draft {
  readonly name: string;
  readonly branch: string;
  readonly after: readonly string[];
  readonly when: ((data: never) => boolean) | undefined;
  readonly pivot: boolean;
  readonly forward: ForwardAction;
  readonly undo: UndoAction | undefined;
  readonly patched?: string | undefined;
  readonly unpatched?: string | undefined;
}

/** The operation names of a command step at barriers. */
export interface Ops {
  readonly forward: SagaOp;
  readonly undo: SagaOp;
  readonly branch?: string;
}

/** What runs at the end of a saga. */
export interface EndToBuild {
  readonly run: EndHandler;
  readonly policy: StepPolicyOptions | undefined;
}

/** What a saga has besides its steps. */
export interface BesideSteps {
  readonly onEnd?: EndToBuild | undefined;
  readonly attributes?: AttributesOf | undefined;
}

const CONCURRENCY = wholeNumber({ default: 10, min: 1, max: 1_000 });
const DEFAULT_CONCURRENCY = 10;
const ACTION: Ops = { forward: 'action', undo: 'compensate' };

/** The steps of a saga that is being built. */
export class Drafts {
  readonly list: Draft[] = [];
  readonly problems: string[] = [];
  #childPivot = false;
  #pivotAdded = false;
  /** Whether a pivot comes before, here or in a child: what follows must succeed. */
  #mustSucceed = false;

  constructor(readonly subject: string) {}

  add(draft: Draft): void {
    if (!NAME.test(draft.name)) this.problems.push(`step ${JSON.stringify(draft.name)}: a name ${NAME_RULE}`);
    if (this.list.some(({ name }) => name === draft.name))
      this.problems.push(`two steps are named ${draft.name}`);
    for (const name of draft.after)
      if (!this.list.some((other) => other.name === name))
        this.problems.push(`step ${draft.name} is to run after ${name}, which is not defined before it`);
    if (draft.name === END_STEP) this.problems.push(`no step may be named ${END_STEP}`);
    if (draft.pivot && this.#pivotAdded) this.problems.push(`step ${draft.name} is a second pivot`);
    const { patched, unpatched } = draft;
    for (const patch of [patched, unpatched])
      if (patch !== undefined && (typeof patch !== 'string' || !NAME.test(patch)))
        this.problems.push(`step ${draft.name}: the name of a change ${NAME_RULE}`);
    if (patched !== undefined && unpatched !== undefined)
      this.problems.push(`step ${draft.name} is both patched and unpatched`);
    this.#pivotAdded ||= draft.pivot;
    this.#mustSucceed ||= draft.pivot;
    this.list.push(draft);
  }

  policy(name: string, options: StepPolicyOptions | undefined, necessary: boolean): CommandAction['policy'] {
    return resolveStepPolicy(`step ${name} of ${this.subject}`, options, necessary);
  }

  command<Data, Request, Reply, Added extends object, UndoRequest>(
    name: string,
    step: CommandStep<Data, Request, Reply, Added, UndoRequest>,
    after: readonly string[],
    ops: Ops = ACTION,
  ): void {
    const { invoke, undo, then, pivot = false } = step;
    const policy = this.policy(name, step.policy, this.#mustSucceed);
    this.#assertOneWay(name, [invoke, undo?.invoke]);
    this.add({
      ...common(name, step, after),
      branch: ops.branch ?? name,
      pivot,
      forward: commandAction(ops.forward, invoke, step.with, then, policy),
      undo: undo && this.#commandUndo(name, undo, ops.undo),
    });
  }

  /** An action and its compensation have to meet at one place: the barrier of a database, or an endpoint. */
  #assertOneWay(name: string, [done, undone]: readonly ({ readonly http?: HttpCall } | undefined)[]): void {
    if (undone === undefined || (done?.http === undefined) === (undone.http === undefined)) return;
    this.problems.push(
      `step ${name} and its compensation use different transports, HTTP and a message: the compensation could not ` +
        'know of a call in flight. Use HTTP for both, or messages for both',
    );
  }

  #commandUndo<Data, Request>(name: string, undo: CommandUndo<Data, Request>, op: SagaOp): CommandAction {
    const policy = this.policy(`${name}'s compensation`, undo.policy, true);
    return commandAction(op, undo.invoke, undo.with, undefined, policy);
  }

  local<Data, Added extends object, Transaction>(
    name: string,
    step: LocalStep<Data, Added, Transaction>,
    after: readonly string[],
  ): void {
    const { run, undo, pivot = false } = step;
    this.add({
      ...common(name, step, after),
      pivot,
      forward: localAction(run, this.policy(name, step.policy, this.#mustSucceed)),
      undo: undo && localAction(undo.run, this.policy(`${name}'s compensation`, undo.policy, true)),
    });
  }

  signal<Data, Payload>(
    name: string,
    step: SignalStep<Data, Payload, object>,
    after: readonly string[],
  ): void {
    const { signal = name } = step;
    if (!NAME.test(signal)) this.problems.push(`step ${name}: the name of its signal ${NAME_RULE}`);
    const forward = { kind: 'signal', signal, ...this.#waiting(name, step) } as const;
    this.add({ ...common(name, step, after), forward, undo: undefined });
  }

  event<Data, Payload>(
    topic: string,
    step: EventStep<Data, Payload, object>,
    after: readonly string[],
  ): void {
    assertTopicName(topic);
    const { match, by, name = topic } = step;
    const own = { topic, match: match as never, by: by as never };
    const forward = { kind: 'event', ...own, ...this.#waiting(name, step) } as const;
    this.add({ ...common(name, step, after), forward, undo: undefined });
  }

  #waiting<Data, Payload>(name: string, step: WaitingStep<Data, Payload, object>) {
    const { then, timeoutMs, onTimeout = 'compensate', remind } = step;
    if (timeoutMs !== undefined) this.#checkTime(`step ${name}: timeoutMs`, timeoutMs);
    if (remind !== undefined) this.#checkTime(`step ${name}: everyMs of its reminder`, remind.everyMs);
    return {
      apply: (then ?? nothing) as never,
      timeoutMs: timeoutMs ?? null,
      onTimeout,
      remind: remind
        ? { everyMs: remind.everyMs, command: remind.invoke, request: remind.with as never }
        : null,
    };
  }

  sleep<Data>(name: string, until: SleepTime<Data>, step: StepBase<Data>, after: readonly string[]): void {
    if (typeof until === 'number') this.#checkTime(`step ${name}: its time`, until);
    const forward = {
      kind: 'sleep',
      until: (typeof until === 'number' ? () => until : until) as never,
    } as const;
    this.add({ ...common(name, step, after), forward, undo: undefined });
  }

  each<Data>(name: string, step: AnyEachStep<Data>, after: readonly string[]): void {
    const { items, key, concurrency = DEFAULT_CONCURRENCY } = step;
    const problem = CONCURRENCY.check(concurrency);
    if (problem !== undefined) this.problems.push(`step ${name}: concurrency ${problem}`);
    const element = this.#elementOf(name, step);
    if (element === undefined) return;
    this.add({
      ...common(name, step, after),
      forward: { kind: 'each', items: items as never, key: key as never, concurrency, element },
      undo: undefined,
    });
  }

  /** The action for each item: a command, an action in the saga's own transaction, or a child. */
  #elementOf<Data>(name: string, given: AnyEachStep<Data>): EachAction['element'] | undefined {
    const kinds = ['step', 'local', 'child'].filter((kind) => Object.hasOwn(given, kind));
    if (kinds.length !== 1) {
      this.problems.push(`step ${name} must have one of step, local and child, has ${kinds.length}`);
      return undefined;
    }
    const isLate = this.#mustSucceed;
    const policy = (step: EachPolicies): StepPolicy => this.policy(name, step.policy, isLate);
    const undoPolicy = (step: EachPolicies): StepPolicy =>
      this.policy(`${name}'s compensation`, step.undo?.policy, true);
    if (given.step !== undefined) this.#assertOneWay(name, [given.step.invoke, given.step.undo?.invoke]);
    if (given.step !== undefined)
      return commandElement(name, given.step, policy(given.step), undoPolicy(given.step));
    if (given.local !== undefined)
      return localElement(given.local, policy(given.local), undoPolicy(given.local));
    this.#mustSucceed ||= given.child.saga.hasPivot;
    this.#childPivot ||= given.child.saga.hasPivot;
    return childElement(given.child);
  }

  child<Data, Input extends object, Output extends object, Added extends object>(
    name: string,
    step: ChildStep<Data, Input, Output, Added>,
    after: readonly string[],
  ): void {
    const { saga, key, then } = step;
    this.#mustSucceed ||= saga.hasPivot;
    this.#childPivot ||= saga.hasPivot;
    const start = (data: SagaData): { key: string; data: SagaData } => ({
      key: key(data as Data),
      data: step.with(data as Data) as SagaData,
    });
    this.add({
      ...common(name, step, after),
      forward: {
        kind: 'child',
        type: saga.type,
        version: saga.version,
        start,
        apply: (then ?? nothing) as never,
      },
      undo: { kind: 'child' },
    });
  }

  #checkTime(what: string, value: number): void {
    const problem = DEADLINE.check(value);
    if (problem !== undefined) this.problems.push(`${what} ${problem}`);
  }

  /** @throws ConfigurationError that lists every problem */
  finish(
    type: string,
    { version = 1, deadlineMs }: SagaOptions,
    { onEnd, attributes }: BesideSteps = {},
  ): SagaDefinition {
    const { problems, list } = this;
    if (!NAME.test(type)) problems.push(`its type ${JSON.stringify(type)} ${NAME_RULE}`);
    if (!Number.isSafeInteger(version) || version < 1 || version > 1_000_000)
      problems.push(`its version must be a whole number from 1, got ${show(version)}`);
    if (deadlineMs !== undefined) this.#checkTime('deadlineMs', deadlineMs);
    if (list.length === 0 || list.length > MAX_STEPS)
      problems.push(`it must have 1 to ${MAX_STEPS} steps, has ${list.length}`);
    const end = onEnd && { run: onEnd.run, policy: this.policy(END_STEP, onEnd.policy, true) };
    if (problems.length > 0) throw new ConfigurationError(`${this.subject} is not usable`, problems);
    const indexes = new Map(list.map(({ name }, index) => [name, index]));
    const steps = list.map(({ patched, unpatched, ...draft }): StepDefinition => ({
      ...draft,
      when: draft.when as StepDefinition['when'],
      after: draft.after.map((name) => indexes.get(name) ?? 0),
      ...(patched !== undefined && { patched }),
      ...(unpatched !== undefined && { unpatched }),
    }));
    const hasPivot = this.#pivotAdded || this.#childPivot;
    return Object.freeze({
      type,
      version,
      deadlineMs: deadlineMs ?? null,
      steps,
      next: nextSteps(steps),
      hasPivot,
      onEnd: end,
      attributes,
    });
  }
}

function common(
  name: string,
  step: StepBase<never>,
  after: readonly string[],
): Pick<Draft, 'name' | 'branch' | 'after' | 'when' | 'pivot' | 'patched' | 'unpatched'> {
  const { when, patched, unpatched } = step;
  const all = [...after, ...(step.after ?? [])];
  return { name, branch: name, after: all, when, pivot: false, patched, unpatched };
}
