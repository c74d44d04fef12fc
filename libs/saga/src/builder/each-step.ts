import type { SagaCommandContract } from '../definition/saga-command.js';
import type { LocalContext, SagaDefinition } from '../definition/saga-definition.js';
import type { StepBase } from '../definition/saga-steps.js';
import type { StepPolicyOptions } from '../definition/step-policy.js';

/** A step for each item of a list. Its functions get `item` first and `data` second. */
export interface EachBase<Data, Item> extends StepBase<Data> {
  /** The list, read once when the step begins. Up to 1,000 items. */
  readonly items: (data: Data) => readonly Item[];
  /** The item's name, unique in the list: 1 to 100 characters. Its step is `name[key]`. */
  readonly key: (item: Item, data: Data) => string;
  /** How many run at a time. Default 10. */
  readonly concurrency?: number;
}

/** Makes a command for each item. */
export interface EachCommand<Data, Item, Request, Reply, Result, UndoRequest> {
  readonly invoke: SagaCommandContract<Request, Reply>;
  readonly with: (item: Item, data: Data) => Request;
  /** The part of the reply to keep: it is stored in the data under the names of the step and the item. */
  readonly then?: (reply: Reply, item: Item, data: Data) => Result;
  /** Undoes what was done for an item. The result is undefined when no reply has arrived. */
  readonly undo?: {
    readonly invoke: SagaCommandContract<UndoRequest, unknown>;
    readonly with: (item: Item, data: Data, result: Result | undefined) => UndoRequest;
    readonly policy?: StepPolicyOptions;
  };
  readonly policy?: StepPolicyOptions;
}

/** An action in the saga's own transaction for each item. */
export interface EachLocal<Data, Item, Result, Transaction> {
  readonly run: (item: Item, data: Data, context: LocalContext<Transaction>) => Promise<Result | void>;
  readonly undo?: {
    readonly run: (item: Item, data: Data, context: LocalContext<Transaction>) => Promise<void>;
    readonly policy?: StepPolicyOptions;
  };
  readonly policy?: StepPolicyOptions;
}

/** A child for each item. */
export interface EachChild<Data, Item, Input extends object, Output extends object, Result> {
  readonly saga: SagaDefinition<Input, Output>;
  /** The child's key among the sagas of its type: one per item. */
  readonly key: (item: Item, data: Data) => string;
  readonly with: (item: Item, data: Data) => Input;
  readonly then?: (childData: Output, item: Item, data: Data) => Result;
}

/** A step that sends a command for each item. */
export interface EachCommandStep<Data, Item, Request, Reply, Result, UndoRequest> extends EachBase<
  Data,
  Item
> {
  readonly step: EachCommand<Data, Item, Request, Reply, Result, UndoRequest>;
}

/** A step that does something in the saga's own transaction for each item. */
export interface EachLocalStep<Data, Item, Result, Transaction> extends EachBase<Data, Item> {
  readonly local: EachLocal<Data, Item, Result, Transaction>;
}

/** A step that runs a child for each item. */
export interface EachChildStep<
  Data,
  Item,
  Input extends object,
  Output extends object,
  Result,
> extends EachBase<Data, Item> {
  readonly child: EachChild<Data, Item, Input, Output, Result>;
}

/** Any of them, as it is read. */
export type AnyEachStep<Data> = EachBase<Data, unknown> &
  (
    | {
        readonly step: EachCommand<Data, unknown, unknown, unknown, unknown, unknown>;
        readonly local?: undefined;
        readonly child?: undefined;
      }
    | {
        readonly step?: undefined;
        readonly local: EachLocal<Data, unknown, unknown, unknown>;
        readonly child?: undefined;
      }
    | {
        readonly step?: undefined;
        readonly local?: undefined;
        readonly child: EachChild<Data, unknown, object, object, unknown>;
      }
  );

/** Options of each one's attempts. */
export interface EachPolicies {
  readonly policy?: StepPolicyOptions;
  readonly undo?: { readonly policy?: StepPolicyOptions };
}

/** What lists add to the data: results by item key. */
export type EachResults<Name extends string, Result> = Readonly<
  Record<Name, Readonly<Record<string, Result>>>
>;
