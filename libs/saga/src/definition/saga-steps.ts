import type { SagaCommandContract } from './saga-command.js';
import type { LocalContext, SagaDefinition } from './saga-definition.js';
import type { StepPolicyOptions } from './step-policy.js';

/** What every kind of step can have. `Data` is what the saga knows when the step begins. */
export interface StepBase<Data> {
  /** Skips the step when it answers false. */
  readonly when?: (data: Data) => boolean;
  /** Steps of the same group that have to come before this one, by name. Default: none, they run side by side. */
  readonly after?: readonly string[];
  /** Names a change of the definition: only sagas that begin with it have the step. */
  readonly patched?: string;
  /** Names a change of the definition: only sagas that began before it have the step. */
  readonly unpatched?: string;
}

/** What a saga's data can hold is a plain object, and no list. */
export type NoList<T> = T extends readonly unknown[] ? never : T;

/** A compensation that is a command. */
export interface CommandUndo<Data, Request = never> {
  readonly invoke: SagaCommandContract<Request, unknown>;
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
  readonly invoke: SagaCommandContract<Request, Reply>;
  /** The command's payload. */
  readonly with: (data: Data) => Request;
  /** What the answer adds to the saga's data. */
  readonly then?: (reply: Reply, data: Data) => Added & NoList<Added>;
  /** Undoes it when a later step is rejected; also when this step may be done and nobody knows. */
  readonly undo?: CommandUndo<Data & Partial<Added>, UndoRequest>;
  /** Whether there is no way back once this step is done. Default no. */
  readonly pivot?: boolean;
  readonly policy?: StepPolicyOptions;
}

/** A step in the saga's own transaction, in the service's own database. */
export interface LocalStep<Data, Added extends object, Transaction> extends StepBase<Data> {
  /** What it resolves to is added to the saga's data. It may throw a {@link SagaRejectedError}. */
  readonly run: (data: Data, context: LocalContext<Transaction>) => Promise<(Added & NoList<Added>) | void>;
  readonly undo?: LocalUndo<Data & Added, Transaction>;
  readonly pivot?: boolean;
  readonly policy?: StepPolicyOptions;
}

/** Reminds somebody of what a saga waits for. */
export interface ReminderStep<Data, Request = never> {
  /** The first comes after so many milliseconds, and the others as far apart. */
  readonly everyMs: number;
  /** A command whose answer nothing waits for. */
  readonly invoke: SagaCommandContract<Request, unknown>;
  readonly with: (data: Data) => Request;
}

/** What steps that wait have in common. */
export interface WaitingStep<Data, Payload, Added extends object, Reminder = never> extends StepBase<Data> {
  /** What is added to the saga's data. It may throw a {@link SagaRejectedError}: then the saga is compensated. */
  readonly then?: (payload: Payload, data: Data) => Added & NoList<Added>;
  /** How long it waits, in milliseconds. Default: for ever. */
  readonly timeoutMs?: number;
  /** What happens then. Default `compensate`. */
  readonly onTimeout?: 'compensate' | 'continue';
  readonly remind?: ReminderStep<Data, Reminder>;
}

/** A step that waits until a message or a person says something. */
export interface SignalStep<Data, Payload, Added extends object, Reminder = never> extends WaitingStep<
  Data,
  Payload,
  Added,
  Reminder
> {
  /** Default: the step's name. */
  readonly signal?: string;
}

/** A step that waits for an event of another service. */
export interface EventStep<Data, Payload, Added extends object, Reminder = never> extends WaitingStep<
  Data,
  Payload,
  Added,
  Reminder
> {
  /** What of an event says that it is this saga's. */
  readonly match: (data: Data) => string;
  /** What of the event is compared with it. Default: the key of its message. */
  readonly by?: (event: Payload) => string;
  /** The step's name. Default: the topic. */
  readonly name?: string;
}

/** How long a step sleeps: milliseconds, or until an instant: a Date, or a text that says one. */
export type SleepTime<Data> = number | ((data: Data) => number | string | Date);

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
  readonly then?: (childData: Output, data: Data) => Added & NoList<Added>;
}
