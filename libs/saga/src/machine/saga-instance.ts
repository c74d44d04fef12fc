import type { SagaData } from '../definition/saga-definition.js';

/** States of a saga. STUCK waits for an operator, whichever way it was going. */
export type SagaState = 'RUNNING' | 'COMPENSATING' | 'STUCK' | 'COMPLETED' | 'COMPENSATED' | 'CANCELLED';

/** The states as they stand in the table. */
export const STATE_NUMBER: Readonly<Record<SagaState, number>> = {
  RUNNING: 1,
  COMPENSATING: 2,
  STUCK: 3,
  COMPLETED: 4,
  COMPENSATED: 5,
  CANCELLED: 6,
};

/** Whether a saga in this state has come to its end. */
export function isEnd(state: SagaState): boolean {
  return STATE_NUMBER[state] >= STATE_NUMBER.COMPLETED;
}

/** @returns the state of a number of the table */
export function stateOf(number: number): SagaState {
  const names = Object.keys(STATE_NUMBER) as SagaState[];
  return names[number - 1] ?? 'STUCK';
}

/**
 * How a step fares. `running`: its answer is awaited; `waiting`: for its next attempt; `failed`: given up, and maybe done;
 * `rejected`: surely not done. Those with `undo` say the same of its compensation; `undone` is its end.
 */
export type StepStatus =
  | 'running'
  | 'waiting'
  | 'stuck'
  | 'done'
  | 'skipped'
  | 'rejected'
  | 'failed'
  | 'undoing'
  | 'undo-waiting'
  | 'undo-stuck'
  | 'undone';

/** A step of an instance that has been begun. Times in milliseconds since the saga's start. */
export interface StepRecord {
  readonly status: StepStatus;
  /** Counts the attempts of what is under way: of the step, or of its compensation. */
  readonly attempt: number;
  /** Attempts that an operator's retry has forgiven. */
  readonly forgiven: number;
  /** When its time is out, or its next attempt is due. */
  readonly dueMs: number | null;
  /** When the first attempt of what is under way was made: barriers judge by it. */
  readonly begunMs?: number;
  /** Of a step that is undone: when its action was begun, and whether the saga knows that it was done. */
  readonly origin?: { readonly begunMs: number; readonly isKnown: boolean };
  /** Why it is stuck, was rejected or given up. */
  readonly reason?: string;
  /** A child that has passed its pivot: there is no way back. */
  readonly pivot?: boolean;
  /** Its participant holds something for the saga. */
  readonly holds?: boolean;
  /** An answer that could not be used: it is applied again when an operator retries the step. */
  readonly unused?: { readonly payload: unknown };
  /** When the next reminder is due, and how often it has come. */
  readonly remind?: { readonly dueMs: number; readonly sent: number };
}

/** A signal that has come before anything waits for it. */
export interface WaitingSignal {
  readonly id: string | null;
  readonly payload: unknown;
}

/** An item of a list that a step goes through. */
export interface FrozenItem {
  readonly key: string;
  readonly item: unknown;
}

/** A saga under way, as the machine sees it. Immutable. */
export interface SagaInstance {
  readonly id: string;
  readonly key: string;
  readonly state: SagaState;
  /** Which way it goes; STUCK keeps it. */
  readonly direction: 'forward' | 'backward';
  readonly data: SagaData;
  readonly steps: Readonly<Record<string, StepRecord>>;
  /** Signals that came before anybody waited for them, by name, in order. */
  readonly signals: Readonly<Record<string, readonly WaitingSignal[]>>;
  /** Ids of signals that have come, the newest last. */
  readonly signalIds: readonly string[];
  /** The lists that it goes through, by the names of their steps, as they were when they were begun. */
  readonly items: Readonly<Record<string, readonly FrozenItem[]>>;
  readonly deadlineMs: number | null;
  /** Whether its compensation ends as CANCELLED. */
  readonly cancelled: boolean;
  /** Why it compensates, or is stuck. */
  readonly reason: string | null;
  /** Why it turned round. */
  readonly cause: string | null;
  /** Changes of its definition that it knows, because they were there when it began. */
  readonly patches: readonly string[];
  /** When it began, in milliseconds since 1970 by the database's clock. */
  readonly startedAtMs: number;
}
