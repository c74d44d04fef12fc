import type { SagaData } from '../definition/saga-definition.js';

/** States of a saga. STUCK waits for an operator, in either direction. */
export type SagaState = 'RUNNING' | 'COMPENSATING' | 'STUCK' | 'COMPLETED' | 'COMPENSATED' | 'CANCELLED';

/** The states as they are stored. */
export const STATE_NUMBER: Readonly<Record<SagaState, number>> = {
  RUNNING: 1,
  COMPENSATING: 2,
  STUCK: 3,
  COMPLETED: 4,
  COMPENSATED: 5,
  CANCELLED: 6,
};

/** Whether a saga in this state has ended. */
export function isEnd(state: SagaState): boolean {
  return STATE_NUMBER[state] >= STATE_NUMBER.COMPLETED;
}

/** @returns the state for a stored number */
export function stateOf(number: number): SagaState {
  const names = Object.keys(STATE_NUMBER) as SagaState[];
  return names[number - 1] ?? 'STUCK';
}

/**
 * Status of a step. `running`: awaiting its reply; `waiting`: for its next attempt; `failed`: given up, may be done;
 * `rejected`: certainly not done. Those with `undo` mean the same for its compensation, which ends as `undone`.
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

/** A step of an instance that has started. Times in milliseconds since the saga's start. */
export interface StepRecord {
  readonly status: StepStatus;
  /** Number of the current attempt, of the step or of its compensation. */
  readonly attempt: number;
  /** Attempts that an operator's retry has forgiven. */
  readonly forgiven: number;
  /** When it times out, or its next attempt is due. */
  readonly dueMs: number | null;
  /** When the first attempt of the current operation was made: barriers judge by it. */
  readonly begunMs?: number;
  /** For a step that is being undone: when its action started, and whether the saga knows that it was done. */
  readonly origin?: { readonly begunMs: number; readonly isKnown: boolean };
  /** Why it is stuck, was rejected or given up. */
  readonly reason?: string;
  /** The child has passed its pivot: it only goes forward. */
  readonly pivot?: boolean;
  /** Its participant holds something for the saga. */
  readonly holds?: boolean;
  /** A reply that was unusable: it is applied again when an operator retries the step. */
  readonly unused?: { readonly payload: unknown };
  /** When the next reminder is due, and how many were sent. */
  readonly remind?: { readonly dueMs: number; readonly sent: number };
}

/** A signal that arrived before a step waits for it. */
export interface WaitingSignal {
  readonly id: string | null;
  readonly payload: unknown;
}

/** An item of a step's list. */
export interface FrozenItem {
  readonly key: string;
  readonly item: unknown;
}

/** A active saga, as the machine sees it. Immutable. */
export interface SagaInstance {
  readonly id: string;
  readonly key: string;
  readonly state: SagaState;
  /** Its direction; STUCK keeps it. */
  readonly direction: 'forward' | 'backward';
  readonly data: SagaData;
  readonly steps: Readonly<Record<string, StepRecord>>;
  /** Signals that arrived early, by name, in order. */
  readonly signals: Readonly<Record<string, readonly WaitingSignal[]>>;
  /** Ids of signals that have arrived, the newest last. */
  readonly signalIds: readonly string[];
  /** Its lists by step name, as they were when their step started. */
  readonly items: Readonly<Record<string, readonly FrozenItem[]>>;
  readonly deadlineMs: number | null;
  /** Whether its compensation ends as CANCELLED. */
  readonly cancelled: boolean;
  /** Why it compensates, or is stuck. */
  readonly reason: string | null;
  /** Why its compensation started. */
  readonly cause: string | null;
  /** Changes of its definition that existed when it began. */
  readonly patches: readonly string[];
  /** When it began, in milliseconds since 1970 by the database's clock. */
  readonly startedAtMs: number;
}
