import type { PgTransactionHandle } from '@waybill/kernel';
import type { AttributesOf } from '../definition/attributes.js';
import type { AnyEachStep, EachChildStep, EachCommandStep, EachLocalStep, EachResults } from './each-step.js';
import type { EndHandler, SagaDefinition, SagaEnd } from '../definition/saga-definition.js';
import type {
  ChildStep,
  CommandStep,
  EventStep,
  LocalStep,
  SignalStep,
  SleepTime,
  StepBase,
} from '../definition/saga-steps.js';
import { SagaGroup } from './saga-group.js';
import type { StepPolicyOptions } from '../definition/step-policy.js';
import { Drafts, type EndToBuild, type SagaOptions } from './step-drafts.js';

/**
 * Builds a saga step by step: each begins when the one before it is done. The types carry what is known at each
 * step: the data that the saga was started with, and what the replies so far have added.
 *
 * @typeParam Input the data it is started with: any JSON object
 * @typeParam Data its data so far
 */
export class SagaBuilder<Input extends object, Data extends object> {
  readonly #drafts: Drafts;
  /** What the next step waits for. */
  #last: readonly string[] = [];
  #onEnd: EndToBuild | undefined;
  #attributes: AttributesOf | undefined;

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
  local<Added extends object = object, Transaction = PgTransactionHandle>(
    name: string,
    step: LocalStep<Data, Added, Transaction>,
  ): SagaBuilder<Input, Data & Added> {
    this.#drafts.local(name, step, this.#last);
    return this.#next([name]);
  }

  /** Waits for a signal: see `Sagas.signal`. */
  waitFor<Payload = void, Added extends object = object, Reminder = never>(
    name: string,
    step: SignalStep<Data, Payload, Added, Reminder> = {},
  ): SagaBuilder<Input, Data & Added> {
    this.#drafts.signal(name, step as never, this.#last);
    return this.#next([name]);
  }

  /** Waits for an event of another service, from a topic of the log. */
  waitForEvent<Payload = unknown, Added extends object = object, Reminder = never>(
    topic: string,
    step: EventStep<Data, Payload, Added, Reminder>,
  ): SagaBuilder<Input, Data & Added> {
    this.#drafts.event(topic, step as never, this.#last);
    return this.#next([step.name ?? topic]);
  }

  /** Waits for a time. */
  sleep(name: string, until: SleepTime<Data>, step: StepBase<Data> = {}): SagaBuilder<Input, Data> {
    this.#drafts.sleep(name, until, step, this.#last);
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

  /**
   * A step for each item of a list: a command (`step`), an action in the saga's own transaction (`local`), or a child. The
   * result of each is stored in the data under the step's name and the item's key.
   */
  forEach<Name extends string, Item, Request, Reply, Result = null, UndoRequest = never>(
    name: Name,
    step: EachCommandStep<Data, Item, Request, Reply, Result, UndoRequest>,
  ): SagaBuilder<Input, Data & EachResults<Name, Result>>;
  forEach<Name extends string, Item, Result = null, Transaction = PgTransactionHandle>(
    name: Name,
    step: EachLocalStep<Data, Item, Result, Transaction>,
  ): SagaBuilder<Input, Data & EachResults<Name, Result>>;
  forEach<Name extends string, Item, ChildInput extends object, ChildOutput extends object, Result = null>(
    name: Name,
    step: EachChildStep<Data, Item, ChildInput, ChildOutput, Result>,
  ): SagaBuilder<Input, Data & EachResults<Name, Result>>;
  forEach(name: string, step: unknown): SagaBuilder<Input, Data & object> {
    this.#drafts.each(name, step as AnyEachStep<unknown>, this.#last);
    return this.#next([name]);
  }

  /** Steps that run in parallel, except as their `after` says. The saga continues when all are done. */
  parallel<Added extends object>(
    build: (group: SagaGroup<Data>) => SagaGroup<Data & Added>,
  ): SagaBuilder<Input, Data & Added> {
    const group = new SagaGroup<Data>(this.#drafts, this.#last);
    build(group);
    return this.#next(group.names);
  }

  /**
   * Runs in the transaction that ends the saga, for example to mark an order as rejected when the saga is COMPENSATED. It is a step of
   * its own (`onEnd`) with attempts; when they are used up, the saga is STUCK and an operator retries or skips it.
   */
  onEnd<Transaction = PgTransactionHandle>(
    run: (end: SagaEnd<Input & Partial<Data>>, transaction: Transaction) => Promise<void>,
    policy?: StepPolicyOptions,
  ): this {
    this.#onEnd = { run: run as unknown as EndHandler, policy };
    return this;
  }

  /**
   * Attributes that sagas are searched by (`SagaOperations.list({ where })`, `waybill saga list --where`): up to 20 texts of 1 to 200
   * characters, finite numbers, or true or false, made of their data. The function runs in each transition, at once; what
   * has changed is written with it. Attributes stand in the database as they are, whatever else is encrypted. What is not
   * usable is logged, and leaves them as they were. Once.
   */
  attributes(of: AttributesOf<Input & Partial<Data>>): this {
    if (typeof of !== 'function') this.#drafts.problems.push('its attributes must be a function of its data');
    if (this.#attributes !== undefined) this.#drafts.problems.push('its attributes are defined twice');
    this.#attributes = of as unknown as AttributesOf;
    return this;
  }

  /** @throws ConfigurationError that lists every problem */
  build(): SagaDefinition<Input, Data> {
    const extras = { onEnd: this.#onEnd, attributes: this.#attributes };
    return this.#drafts.finish(this.type, this.options, extras) as SagaDefinition<Input, Data>;
  }

  #next<Added extends object>(last: readonly string[]): SagaBuilder<Input, Data & Added> {
    if (last.length > 0) this.#last = last;
    return this as unknown as SagaBuilder<Input, Data & Added>;
  }
}

/** Whether a value is the definition of a saga. */
export function isSagaDefinition(value: unknown): value is SagaDefinition {
  const { type, version, steps, next } = (value ?? {}) as Partial<SagaDefinition>;
  return (
    typeof type === 'string' && typeof version === 'number' && Array.isArray(steps) && Array.isArray(next)
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
