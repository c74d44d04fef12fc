import type { PgTransactionHandle } from '@waybill/kernel';
import type { AttributesOf } from './attributes.js';
import type { SagaCommandContract, SagaOp } from './saga-command.js';

/** The data of a saga: a JSON object that grows with the replies to its steps. */
export type SagaData = Readonly<Record<string, unknown>>;

/** An error that must not be retried: its class, name or code. */
export type FinalError = string | (abstract new (...args: never[]) => Error);

/** Attempts of a step and their time limit. Waits double from `delayMs` to `maxDelayMs`. */
export interface StepPolicy {
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly delayMs: number;
  readonly maxDelayMs: number;
  readonly nonRetryable: readonly FinalError[];
}

/** Sends a command to another service, and awaits its reply. */
export interface CommandAction {
  readonly kind: 'command';
  readonly op: SagaOp;
  readonly command: SagaCommandContract;
  readonly request: (data: SagaData) => unknown;
  readonly apply: (reply: unknown, data: SagaData) => object | undefined;
  readonly policy: StepPolicy;
}

/** What a local action works with. */
export interface LocalContext<Transaction = PgTransactionHandle> {
  /** The saga's own transaction, in the type of the service's driver or ORM: what is written here commits with the step. */
  readonly transaction: Transaction;
  readonly sagaId: string;
  /** Why the saga is being compensated; null while it goes forward. */
  readonly reason: string | null;
}

/** Runs in the saga's own transaction. */
export interface LocalAction {
  readonly kind: 'local';
  readonly run: (data: SagaData, context: LocalContext<unknown>) => Promise<object | undefined | void>;
  readonly policy: StepPolicy;
}

/** Reminds of a waiting step: a command that is sent repeatedly and expects no reply. */
export interface Reminder {
  readonly everyMs: number;
  readonly command: SagaCommandContract;
  readonly request: (data: SagaData) => unknown;
}

/** What steps that wait have in common. */
interface Waiting {
  readonly apply: (payload: unknown, data: SagaData) => object | undefined;
  /** Null: for ever. */
  readonly timeoutMs: number | null;
  /** What happens when that time ends. */
  readonly onTimeout: 'compensate' | 'continue';
  readonly remind: Reminder | null;
}

/** Waits for a message or a person. */
export interface SignalAction extends Waiting {
  readonly kind: 'signal';
  readonly signal: string;
}

/** Waits for an event of another service. */
export interface EventAction extends Waiting {
  readonly kind: 'event';
  readonly topic: string;
  /** The value an event must carry to belong to this saga. */
  readonly match: (data: SagaData) => string;
  /** The part of an event to compare with it; undefined for the message key. */
  readonly by: ((event: unknown) => string) | undefined;
}

/** Waits for a number of milliseconds, or until an instant. */
export interface SleepAction {
  readonly kind: 'sleep';
  readonly until: (data: SagaData) => number | string | Date;
}

/** Starts another saga of this service, and awaits its end. */
export interface ChildAction {
  readonly kind: 'child';
  readonly type: string;
  readonly version: number;
  readonly start: (data: SagaData) => { readonly key: string; readonly data: SagaData };
  readonly apply: (childData: SagaData, data: SagaData) => object | undefined;
}

/** The action for one item of a list. */
export interface ElementActions {
  readonly forward: CommandAction | LocalAction | ChildAction;
  readonly undo: UndoAction | undefined;
}

/** Takes the items of a list: each becomes a step of its own, named by the item's key. */
export interface EachAction {
  readonly kind: 'each';
  readonly items: (data: SagaData) => readonly unknown[];
  readonly key: (item: unknown, data: SagaData) => string;
  /** How many run at a time. */
  readonly concurrency: number;
  readonly element: (item: unknown, key: string) => ElementActions;
}

export type ForwardAction =
  CommandAction | LocalAction | SignalAction | EventAction | SleepAction | ChildAction | EachAction;
/** What undoes a step. A child is undone by its own compensation. */
export type UndoAction = CommandAction | LocalAction | { readonly kind: 'child' };

/** A step of a saga. */
export interface StepDefinition {
  readonly name: string;
  /** Name of the step at the barriers of its participants. TCC's try and confirm of one branch share it. */
  readonly branch: string;
  /** Indexes of the steps that must be done or skipped before it begins. */
  readonly after: readonly number[];
  /** Skips the step when it returns false. */
  readonly when: ((data: SagaData) => boolean) | undefined;
  /** After it, the saga only goes forward. */
  readonly pivot: boolean;
  readonly forward: ForwardAction;
  readonly undo: UndoAction | undefined;
  /** The list it belongs to, and how many of its steps run at a time. */
  readonly lane?: { readonly of: string; readonly key: string; readonly concurrency: number };
  /** Only sagas that began with this change have the step. */
  readonly patched?: string;
  /** Only sagas that began before this change have it. */
  readonly unpatched?: string;
}

/** How a saga has ended. */
export interface SagaEnd<Data = SagaData> {
  readonly sagaId: string;
  readonly key: string;
  readonly state: 'COMPLETED' | 'COMPENSATED' | 'CANCELLED';
  readonly data: Data;
  /** Why it was compensated or cancelled; null when it was not. */
  readonly reason: string | null;
}

/** Runs in the transaction that ends a saga. */
export type EndHandler = (end: SagaEnd, transaction: unknown) => Promise<void>;

declare const inputType: unique symbol;

/**
 * The definition of a saga: immutable. Instances keep the version that they began with.
 *
 * @typeParam Input the data it is started with
 * @typeParam Output its data when it is completed
 */
export interface SagaDefinition<Input extends object = object, Output extends object = object> {
  readonly type: string;
  readonly version: number;
  /** A saga that has not passed its pivot by then is compensated, in milliseconds from its start. Null: no deadline. */
  readonly deadlineMs: number | null;
  readonly steps: readonly StepDefinition[];
  /** For each step, by index, the steps that directly follow it. */
  readonly next: readonly (readonly number[])[];
  /** Whether it or one of its children has a pivot. */
  readonly hasPivot: boolean;
  /** Runs at the end, as a step of its own with attempts. */
  readonly onEnd: { readonly run: EndHandler; readonly policy: StepPolicy } | undefined;
  /** Attributes that its sagas are searched by. Not part of the fingerprint. */
  readonly attributes: AttributesOf | undefined;
  /** Types only. */
  readonly [inputType]?: readonly [Input, Output];
}
