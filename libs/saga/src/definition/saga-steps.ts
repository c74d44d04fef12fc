import type { SagaCommand } from './saga-command.js';
import type { LocalContext, SagaDefinition } from './saga-definition.js';
import type { StepPolicyOptions } from './step-policy.js';

/** What every kind of step can have. `Data` is what the saga knows when the step begins. */
export interface StepBase<Data> {
  /** Skips the step when it answers false. */
  readonly when?: (data: Data) => boolean;
  /** Steps of the same group that have to come before this one, by name. Default: none, they run side by side. */
  readonly after?: readonly string[];
}

/** A compensation that is a command. */
export interface CommandUndo<Data, Request = never> {
  readonly invoke: SagaCommand<Request, unknown>;
  /** What the answer would have brought may be missing: a step whose time ran out is undone as well. */
  readonly with: (data: Data) => Request;
  readonly policy?: StepPolicyOptions;
}

/** A compensation in the saga's own transaction. */
export interface LocalUndo<Data, Transaction> {
  readonly run: (data: Data, context: LocalContext<Transaction>) => Promise<void>;
  readonly policy?: StepPolicyOptions;
}

/** A step that sends a command to another service and awaits its answer. */
export interface CommandStep<Data, Request, Reply, Added extends object, UndoRequest> extends StepBase<Data> {
  readonly invoke: SagaCommand<Request, Reply>;
  /** The command's payload. */
  readonly with: (data: Data) => Request;
  /** What the answer adds to the saga's data. */
  readonly then?: (reply: Reply, data: Data) => Added;
  /** Undoes it when a later step is rejected; also when this step may be done and nobody knows. */
  readonly undo?: CommandUndo<Data & Partial<Added>, UndoRequest>;
  /** Whether there is no way back once this step is done. Default no. */
  readonly pivot?: boolean;
  readonly policy?: StepPolicyOptions;
}

/** A step in the saga's own transaction, in the service's own database. */
export interface LocalStep<Data, Added extends object, Transaction> extends StepBase<Data> {
  /** What it resolves to is added to the saga's data. It may throw a {@link SagaRejection}. */
  readonly run: (data: Data, context: LocalContext<Transaction>) => Promise<Added | void>;
  readonly undo?: LocalUndo<Data & Added, Transaction>;
  readonly pivot?: boolean;
  readonly policy?: StepPolicyOptions;
}

/** A step that waits until somebody says something: a message, or a person. */
export interface SignalStep<Data, Payload, Added extends object> extends StepBase<Data> {
  /** Default: the step's name. */
  readonly signal?: string;
  /** What the signal adds to the saga's data. It may throw a {@link SagaRejection}: then the saga is compensated. */
  readonly then?: (payload: Payload, data: Data) => Added;
  /** How long it waits, in milliseconds. Default: for ever. */
  readonly timeoutMs?: number;
  /** What happens then. Default `compensate`. */
  readonly onTimeout?: 'compensate' | 'continue';
}

/** A step that runs another saga of the same service, and awaits its end. */
export interface ChildStep<
  Data,
  Input extends object,
  Output extends object,
  Added extends object,
> extends StepBase<Data> {
  readonly saga: SagaDefinition<Input, Output>;
  /** The child's key among the sagas of its type. */
  readonly key: (data: Data) => string;
  readonly with: (data: Data) => Input;
  /** What the child's data adds to the saga's, when it is completed. */
  readonly then?: (childData: Output, data: Data) => Added;
}
