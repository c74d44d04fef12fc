import type { PgTransactionHandle } from '@waybill/kernel';
import type { AttributesOf } from './attributes.js';
import type { SagaCommandContract, SagaOp } from './saga-command.js';

/** The data of a saga: a JSON object that grows with the answers of its steps. */
export type SagaData = Readonly<Record<string, unknown>>;

/** An error that is not worth another attempt: its class, or its name or code. */
export type FinalError = string | (abstract new (...args: never[]) => Error);

/** How often a step is tried, and how long each try may take. Waits double from `delayMs` to `maxDelayMs`. */
export interface StepPolicy {
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly delayMs: number;
  readonly maxDelayMs: number;
  readonly nonRetryable: readonly FinalError[];
}

/** Sends a command to another service, and awaits its answer. */
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
  /** The saga's own transaction, in the type of the service's driver or ORM: what is written here is there with the step. */
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

/** Reminds somebody of a step that waits: a command that is sent again and again, and answered by nobody. */
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
  /** What the end of that time means. */
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
  /** What the event must carry to be this saga's. */
  readonly match: (data: SagaData) => string;
  /** What of an event is compared with it; undefined for the key of its message. */
  readonly by: ((event: unknown) => string) | undefined;
}

/** Waits for a time: so many milliseconds, or until an instant. */
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

/** What is done for one item of a list. */
export interface ElementActions {
  readonly forward: CommandAction | LocalAction | ChildAction;
  readonly undo: UndoAction | undefined;
}

/** Takes the items of a list: each becomes a step of its own, named by the item's key. */
export interface EachAction {
  readonly kind: 'each';
  readonly items: (data: SagaData) => readonly unknown[];
  readonly key: (item: unknown, data: SagaData) => string;
  /** How many are under way at a time. */
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
  /** Names the step to the barriers of its participants. TCC's try and confirm of one branch share it. */
  readonly branch: string;
  /** Steps that have to be done, or skipped, before it begins; by their place. */
  readonly after: readonly number[];
  /** Skips the step when it says no. */
  readonly when: ((data: SagaData) => boolean) | undefined;
  /** Once it is done, the saga only goes forward. */
  readonly pivot: boolean;
  readonly forward: ForwardAction;
  readonly undo: UndoAction | undefined;
  /** Steps of one list, of which so many are under way at a time. */
  readonly lane?: { readonly of: string; readonly key: string; readonly concurrency: number };
  /** Only sagas that began with this change have the step. */
  readonly patched?: string;
  /** Only sagas that began before this change have it. */
  readonly unpatched?: string;
}

/** How a saga has ended, for what is to learn of it. */
export interface SagaEnd<Data = SagaData> {
  readonly sagaId: string;
  readonly key: string;
  readonly state: 'COMPLETED' | 'COMPENSATED' | 'CANCELLED';
  readonly data: Data;
  /** Why it was compensated or cancelled; null when it was not. */
  readonly reason: string | null;
}

/** Learns of a saga's end, in the transaction that ends it. */
export type EndHandler = (end: SagaEnd, transaction: unknown) => Promise<void>;

declare const inputType: unique symbol;

/**
 * A saga, as it was built: immutable. Instances keep the version that they began with.
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
  /** The steps that come right behind a step, by the step's place. */
  readonly next: readonly (readonly number[])[];
  /** Whether it has a pivot, itself or in a child. */
  readonly hasPivot: boolean;
  /** Learns of the end. It is a step of its own, with attempts. */
  readonly onEnd: { readonly run: EndHandler; readonly policy: StepPolicy } | undefined;
  /** What its sagas are found by. No part of its shape. */
  readonly attributes: AttributesOf | undefined;
  /** Types only. */
  readonly [inputType]?: readonly [Input, Output];
}
