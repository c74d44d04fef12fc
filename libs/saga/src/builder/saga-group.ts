import type { PgTransactionHandle } from '@waybill/kernel';
import type { AnyEachStep, EachChildStep, EachCommandStep, EachLocalStep, EachResults } from './each-step.js';
import type {
  ChildStep,
  CommandStep,
  EventStep,
  LocalStep,
  SignalStep,
  SleepTime,
  StepBase,
} from '../definition/saga-steps.js';
import type { Drafts, Ops } from './step-drafts.js';

/** Steps of a saga that run in parallel. */
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
  local<Added extends object = object, Transaction = PgTransactionHandle>(
    name: string,
    step: LocalStep<Data, Added, Transaction>,
  ): SagaGroup<Data & Added> {
    this.#refusePivot(name, step);
    this.drafts.local(name, step, this.last);
    return this.#added(name);
  }

  /** Waits for a signal: see `Sagas.signal`. */
  waitFor<Payload = void, Added extends object = object, Reminder = never>(
    name: string,
    step: SignalStep<Data, Payload, Added, Reminder> = {},
  ): SagaGroup<Data & Added> {
    this.drafts.signal(name, step as never, this.last);
    return this.#added(name);
  }

  /** Waits for an event of another service, from a topic of the log. */
  waitForEvent<Payload = unknown, Added extends object = object, Reminder = never>(
    topic: string,
    step: EventStep<Data, Payload, Added, Reminder>,
  ): SagaGroup<Data & Added> {
    this.drafts.event(topic, step as never, this.last);
    return this.#added(step.name ?? topic);
  }

  /** Waits for a time. */
  sleep(name: string, until: SleepTime<Data>, step: StepBase<Data> = {}): SagaGroup<Data> {
    this.drafts.sleep(name, until, step, this.last);
    return this.#added(name);
  }

  /** Runs another saga of this service. When this one compensates, that one does. */
  child<ChildInput extends object, ChildOutput extends object, Added extends object = object>(
    name: string,
    step: ChildStep<Data, ChildInput, ChildOutput, Added>,
  ): SagaGroup<Data & Added> {
    this.drafts.child(name, step, this.last);
    return this.#added(name);
  }

  /**
   * A step for each item of a list: a command (`step`), an action in the saga's own transaction (`local`), or a child. The
   * result of each is stored in the data under the step's name and the item's key.
   */
  forEach<Name extends string, Item, Request, Reply, Result = null, UndoRequest = never>(
    name: Name,
    step: EachCommandStep<Data, Item, Request, Reply, Result, UndoRequest>,
  ): SagaGroup<Data & EachResults<Name, Result>>;
  forEach<Name extends string, Item, Result = null, Transaction = PgTransactionHandle>(
    name: Name,
    step: EachLocalStep<Data, Item, Result, Transaction>,
  ): SagaGroup<Data & EachResults<Name, Result>>;
  forEach<Name extends string, Item, ChildInput extends object, ChildOutput extends object, Result = null>(
    name: Name,
    step: EachChildStep<Data, Item, ChildInput, ChildOutput, Result>,
  ): SagaGroup<Data & EachResults<Name, Result>>;
  forEach(name: string, step: unknown): SagaGroup<Data & object> {
    this.drafts.each(name, step as AnyEachStep<unknown>, this.last);
    return this.#added(name);
  }

  /** A branch of a TCC transaction: a step with its own operation names for the barrier. @internal */
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
      this.drafts.problems.push(
        `step ${name} is a pivot and runs in parallel with others; a pivot must run alone`,
      );
  }

  #added<Added extends object>(name: string): SagaGroup<Data & Added> {
    this.names.push(name);
    return this as unknown as SagaGroup<Data & Added>;
  }
}
