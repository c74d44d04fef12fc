import type { SagaCommand, SagaOp } from './saga-command.js';

/** The data of a saga: a JSON object that grows with the answers of its steps. */
export type SagaData = Readonly<Record<string, unknown>>;

/** How often a step is tried, and how long each try may take. Waits double from `delayMs` to `maxDelayMs`. */
export interface StepPolicy {
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  readonly delayMs: number;
  readonly maxDelayMs: number;
}

/** Sends a command to another service, and awaits its answer. */
export interface CommandAction {
  readonly kind: 'command';
  readonly op: SagaOp;
  readonly command: SagaCommand;
  readonly request: (data: SagaData) => unknown;
  readonly apply: (reply: unknown, data: SagaData) => object | undefined;
  readonly policy: StepPolicy;
}

/** What a local action works with. */
export interface LocalContext<Transaction = unknown> {
  /** The saga's own transaction, in the type of the service's driver or ORM: what is written here is there with the step. */
  readonly transaction: Transaction;
  readonly sagaId: string;
  /** Why the saga is being compensated; null while it goes forward. */
  readonly reason: string | null;
}

/** Runs in the saga's own transaction. */
export interface LocalAction {
  readonly kind: 'local';
  readonly run: (data: SagaData, context: LocalContext) => Promise<object | undefined | void>;
  readonly policy: StepPolicy;
}

/** Waits for a message or a person. */
export interface SignalAction {
  readonly kind: 'signal';
  readonly signal: string;
  readonly apply: (payload: unknown, data: SagaData) => object | undefined;
  /** Null: for ever. */
  readonly timeoutMs: number | null;
  /** What the end of that time means. */
  readonly onTimeout: 'compensate' | 'continue';
}

/** Starts another saga of this service, and awaits its end. */
export interface ChildAction {
  readonly kind: 'child';
  readonly type: string;
  readonly version: number;
  readonly start: (data: SagaData) => { readonly key: string; readonly data: SagaData };
  readonly apply: (childData: SagaData, data: SagaData) => object | undefined;
}

export type ForwardAction = CommandAction | LocalAction | SignalAction | ChildAction;
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
}

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
  /** All steps that come behind a step, by the step's place. */
  readonly behind: readonly (readonly number[])[];
  /** Types only. */
  readonly [inputType]?: readonly [Input, Output];
}
