import type { SagaCommandContract } from './saga-command.js';
import type { LocalContext, SagaDefinition } from './saga-definition.js';
import type { StepPolicyOptions } from './step-policy.js';

/** Options of every kind of step. `Data` is the saga's data when the step begins. */
export interface StepBase<Data> {
  /** Skips the step when it returns false. */
  readonly when?: (data: Data) => boolean;
  /** Names of steps of the same group that must be done before this one. Default: none, they run in parallel. */
  readonly after?: readonly string[];
  /** Names a change of the definition: only sagas that begin with it have the step. */
  readonly patched?: string;
  /** Names a change of the definition: only sagas that began before it have the step. */
  readonly unpatched?: string;
}

/** A saga's data is a plain object, not a list. */
export type NoList<T> = T extends readonly unknown[] ? never : T;

/** A compensation that is a command. */
export interface CommandUndo<Data, Request = never> {
  readonly invoke: SagaCommandContract<Request, unknown>;
  /** What the reply would have added may be missing: a step that timed out is undone as well. */
  readonly with: (data: Data) => Request;
  readonly policy?: StepPolicyOptions;
}

/** A compensation in the saga's own transaction. */
export interface LocalUndo<Data, Transaction> {
  readonly run: (data: Data, context: LocalContext<Transaction>) => Promise<void>;
  readonly policy?: StepPolicyOptions;
}

/** A step that sends a command to another service and awaits its reply. */
export interface CommandStep<Data, Request, Reply, Added extends object, UndoRequest> extends StepBase<Data> {
  readonly invoke: SagaCommandContract<Request, Reply>;
  /** The command's payload. */
  readonly with: (data: Data) => Request;
  /** What the reply adds to the saga's data. */
  readonly then?: (reply: Reply, data: Data) => Added & NoList<Added>;
  /** Undoes it when a later step is rejected, and when it is unknown whether this step was done. */
  readonly undo?: CommandUndo<Data & Partial<Added>, UndoRequest>;
  /** Whether the saga only goes forward after this step. Default false. */
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

/** A repeated reminder while a saga waits. */
export interface ReminderStep<Data, Request = never> {
  /** Time to the first reminder and between reminders, in milliseconds. */
  readonly everyMs: number;
  /** A command that expects no reply. */
  readonly invoke: SagaCommandContract<Request, unknown>;
  readonly with: (data: Data) => Request;
}

/** Options of steps that wait. */
export interface WaitingStep<Data, Payload, Added extends object, Reminder = never> extends StepBase<Data> {
  /** What is added to the saga's data. It may throw a {@link SagaRejectedError}: then the saga is compensated. */
  readonly then?: (payload: Payload, data: Data) => Added & NoList<Added>;
  /** How long it waits, in milliseconds. Default: for ever. */
  readonly timeoutMs?: number;
  /** What happens then. Default `compensate`. */
  readonly onTimeout?: 'compensate' | 'continue';
  readonly remind?: ReminderStep<Data, Reminder>;
}

/** A step that waits for a signal from a message or a person. */
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
  /** How an event is matched to this saga. */
  readonly match: (data: Data) => string;
  /** The part of the event to compare with it. Default: the message key. */
  readonly by?: (event: Payload) => string;
  /** The step's name. Default: the topic. */
  readonly name?: string;
}

/** How long a step sleeps: milliseconds, or until an instant (a Date or a date string). */
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
