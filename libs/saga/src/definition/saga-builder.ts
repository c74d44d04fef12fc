import { ConfigurationError, show, wholeNumber } from '@waybill/kernel';
import type { SagaCommand, SagaOp } from './saga-command.js';
import type {
  CommandAction,
  ForwardAction,
  LocalAction,
  SagaData,
  SagaDefinition,
  StepDefinition,
  UndoAction,
} from './saga-definition.js';
import type {
  ChildStep,
  CommandStep,
  CommandUndo,
  LocalStep,
  LocalUndo,
  SignalStep,
  StepBase,
} from './saga-steps.js';
import { resolveStepPolicy, type StepPolicyOptions } from './step-policy.js';

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;
const NAME_RULE = 'must be 1 to 100 of A-Z a-z 0-9 . _ -, and begin with none of . and -';
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

/** A step that is being built: what it needs is known by name. */
interface Draft {
  readonly name: string;
  readonly branch: string;
  readonly after: readonly string[];
  readonly when: ((data: never) => boolean) | undefined;
  readonly pivot: boolean;
  readonly forward: ForwardAction;
  readonly undo: UndoAction | undefined;
}

/** How a command step is known to barriers. */
interface Ops {
  readonly forward: SagaOp;
  readonly undo: SagaOp;
  readonly branch?: string;
}

const ACTION: Ops = { forward: 'action', undo: 'compensate' };

/** The steps that are being put together. */
class Drafts {
  readonly list: Draft[] = [];
  readonly problems: string[] = [];
  /** Whether a pivot has been added: what follows must succeed. */
  pivotAdded = false;

  constructor(readonly subject: string) {}

  add(draft: Draft): void {
    if (!NAME.test(draft.name)) this.problems.push(`step ${JSON.stringify(draft.name)}: a name ${NAME_RULE}`);
    if (this.list.some(({ name }) => name === draft.name))
      this.problems.push(`two steps are named ${draft.name}`);
    for (const name of draft.after)
      if (!this.list.some((other) => other.name === name))
        this.problems.push(`step ${draft.name} comes after ${name}, which is not defined before it`);
    if (draft.pivot && this.pivotAdded) this.problems.push(`step ${draft.name} is a second pivot`);
    this.pivotAdded ||= draft.pivot;
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
    const policy = this.policy(name, step.policy, this.pivotAdded);
    this.add({
      ...common(name, step, after),
      branch: ops.branch ?? name,
      pivot,
      forward: commandAction(ops.forward, invoke, step.with, then, policy),
      undo: undo && this.#commandUndo(name, undo, ops.undo),
    });
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
      forward: localAction(run, this.policy(name, step.policy, this.pivotAdded)),
      undo: undo && localAction(undo.run, this.policy(`${name}'s compensation`, undo.policy, true)),
    });
  }

  signal<Data, Payload, Added extends object>(
    name: string,
    step: SignalStep<Data, Payload, Added>,
    after: readonly string[],
  ): void {
    const { signal = name, then, timeoutMs, onTimeout = 'compensate' } = step;
    if (timeoutMs !== undefined) this.#checkTime(`step ${name}: timeoutMs`, timeoutMs);
    this.add({
      ...common(name, step, after),
      forward: {
        kind: 'signal',
        signal,
        apply: (then ?? nothing) as never,
        timeoutMs: timeoutMs ?? null,
        onTimeout,
      },
      undo: undefined,
    });
  }

  child<Data, Input extends object, Output extends object, Added extends object>(
    name: string,
    step: ChildStep<Data, Input, Output, Added>,
    after: readonly string[],
  ): void {
    const { saga, key, then } = step;
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

  /** @throws ConfigurationError listing every problem */
  finish(type: string, { version = 1, deadlineMs }: SagaOptions): SagaDefinition {
    const { problems, list } = this;
    if (!NAME.test(type)) problems.push(`its type ${JSON.stringify(type)} ${NAME_RULE}`);
    if (!Number.isSafeInteger(version) || version < 1 || version > 1_000_000)
      problems.push(`its version must be a whole number from 1, got ${show(version)}`);
    if (deadlineMs !== undefined) this.#checkTime('deadlineMs', deadlineMs);
    if (list.length === 0 || list.length > MAX_STEPS)
      problems.push(`it must have 1 to ${MAX_STEPS} steps, has ${list.length}`);
    if (problems.length > 0) throw new ConfigurationError(`${this.subject} is not usable`, problems);
    const places = new Map(list.map(({ name }, place) => [name, place]));
    const steps: StepDefinition[] = list.map((draft) => ({
      ...draft,
      when: draft.when as StepDefinition['when'],
      after: draft.after.map((name) => places.get(name) ?? 0),
    }));
    return Object.freeze({ type, version, deadlineMs: deadlineMs ?? null, steps, behind: behindEach(steps) });
  }
}

function common(
  name: string,
  step: StepBase<never>,
  after: readonly string[],
): Pick<Draft, 'name' | 'branch' | 'after' | 'when' | 'pivot'> {
  return { name, branch: name, after: [...after, ...(step.after ?? [])], when: step.when, pivot: false };
}

function nothing(): undefined {
  return undefined;
}

function commandAction<Data, Request, Reply>(
  op: SagaOp,
  command: SagaCommand<Request, Reply>,
  request: (data: Data) => Request,
  apply: ((reply: Reply, data: Data) => object) | undefined,
  policy: CommandAction['policy'],
): CommandAction {
  return {
    kind: 'command',
    op,
    command,
    request: request as CommandAction['request'],
    apply: (apply ?? nothing) as CommandAction['apply'],
    policy,
  };
}

function localAction<Data, Transaction>(
  run: LocalStep<Data, object, Transaction>['run'] | LocalUndo<Data, Transaction>['run'],
  policy: LocalAction['policy'],
): LocalAction {
  return { kind: 'local', run: run as LocalAction['run'], policy };
}

/** The steps behind each, directly or through others. Steps come after those before them only, so one way is enough. */
function behindEach(steps: readonly StepDefinition[]): number[][] {
  const behind = steps.map(() => new Set<number>());
  for (let place = steps.length - 1; place >= 0; place -= 1)
    for (const before of steps[place]?.after ?? []) {
      behind[before]?.add(place);
      for (const further of behind[place] ?? []) behind[before]?.add(further);
    }
  return behind.map((places) => [...places]);
}

/**
 * Puts a saga together, step by step: each begins when the one before it is done. Types carry what is known at each
 * step: the data that the saga was started with, and what the answers so far have added.
 *
 * @typeParam Input the data it is started with: any JSON object
 * @typeParam Data its data so far
 */
export class SagaBuilder<Input extends object, Data extends object> {
  readonly #drafts: Drafts;
  /** What the next step waits for. */
  #last: readonly string[] = [];

  /** @internal Made by {@link saga}. */
  constructor(
    private readonly type: string,
    private readonly options: SagaOptions,
  ) {
    this.#drafts = new Drafts(`Saga ${type}`);
  }

  /** A command to another service. */
  step<Request, Reply, Added extends object = object, UndoRequest = never>(
    name: string,
    step: CommandStep<Data, Request, Reply, Added, UndoRequest>,
  ): SagaBuilder<Input, Data & Added> {
    this.#drafts.command(name, step, this.#last);
    return this.#next([name]);
  }

  /** An action in the saga's own transaction. */
  local<Added extends object = object, Transaction = unknown>(
    name: string,
    step: LocalStep<Data, Added, Transaction>,
  ): SagaBuilder<Input, Data & Added> {
    this.#drafts.local(name, step, this.#last);
    return this.#next([name]);
  }

  /** Waits for a signal: see `Sagas.signal`. */
  waitFor<Payload = void, Added extends object = object>(
    name: string,
    step: SignalStep<Data, Payload, Added> = {},
  ): SagaBuilder<Input, Data & Added> {
    this.#drafts.signal(name, step, this.#last);
    return this.#next([name]);
  }

  /** Runs another saga of this service. When this one compensates, that one does. */
  child<ChildInput extends object, ChildOutput extends object, Added extends object = object>(
    name: string,
    step: ChildStep<Data, ChildInput, ChildOutput, Added>,
  ): SagaBuilder<Input, Data & Added> {
    this.#drafts.child(name, step, this.#last);
    return this.#next([name]);
  }

  /** Steps that run side by side, but for what they say in `after`. The saga goes on when all are done. */
  parallel<Added extends object>(
    build: (group: SagaGroup<Data>) => SagaGroup<Data & Added>,
  ): SagaBuilder<Input, Data & Added> {
    const group = new SagaGroup<Data>(this.#drafts, this.#last);
    build(group);
    return this.#next(group.names);
  }

  /** @throws ConfigurationError listing every problem */
  build(): SagaDefinition<Input, Data> {
    return this.#drafts.finish(this.type, this.options) as SagaDefinition<Input, Data>;
  }

  #next<Added extends object>(last: readonly string[]): SagaBuilder<Input, Data & Added> {
    if (last.length > 0) this.#last = last;
    return this as unknown as SagaBuilder<Input, Data & Added>;
  }
}

/** Steps of a saga that run side by side. */
export class SagaGroup<Data extends object> {
  readonly names: string[] = [];

  /** @internal Made by {@link SagaBuilder.parallel}. */
  constructor(
    private readonly drafts: Drafts,
    private readonly last: readonly string[],
  ) {}

  /** A command to another service. */
  step<Request, Reply, Added extends object = object, UndoRequest = never>(
    name: string,
    step: CommandStep<Data, Request, Reply, Added, UndoRequest>,
  ): SagaGroup<Data & Added> {
    this.#refusePivot(name, step);
    this.drafts.command(name, step, this.last);
    return this.#added(name);
  }

  /** An action in the saga's own transaction. */
  local<Added extends object = object, Transaction = unknown>(
    name: string,
    step: LocalStep<Data, Added, Transaction>,
  ): SagaGroup<Data & Added> {
    this.#refusePivot(name, step);
    this.drafts.local(name, step, this.last);
    return this.#added(name);
  }

  /** A branch of a TCC transaction: as a step, with other names for the barrier. @internal */
  branch<Request, Reply, Added extends object, UndoRequest>(
    name: string,
    step: CommandStep<Data, Request, Reply, Added, UndoRequest>,
    ops: Ops,
  ): SagaGroup<Data & Added> {
    this.drafts.command(name, step, this.last, ops);
    return this.#added(name);
  }

  #refusePivot(name: string, { pivot }: { readonly pivot?: boolean }): void {
    if (pivot === true)
      this.drafts.problems.push(`step ${name} is a pivot and runs beside others; a pivot stands alone`);
  }

  #added<Added extends object>(name: string): SagaGroup<Data & Added> {
    this.names.push(name);
    return this as unknown as SagaGroup<Data & Added>;
  }
}

/** Whether a value is the definition of a saga. */
export function isSagaDefinition(value: unknown): value is SagaDefinition {
  const { type, version, steps, behind } = (value ?? {}) as Partial<SagaDefinition>;
  return (
    typeof type === 'string' && typeof version === 'number' && Array.isArray(steps) && Array.isArray(behind)
  );
}

/**
 * Begins the definition of a saga.
 *
 * @param type its name, the same in every version
 * @typeParam Input the data it is started with: a JSON object
 */
export function saga<Input extends object>(
  type: string,
  options: SagaOptions = {},
): SagaBuilder<Input, Input> {
  return new SagaBuilder<Input, Input>(type, options);
}
