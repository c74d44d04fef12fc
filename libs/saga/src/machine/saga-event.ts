import type { ReplyStatus } from '@waybill/consumer';
import type { SagaOp } from '../definition/saga-command.js';
import type { SagaData } from '../definition/saga-definition.js';
import type { SagaState } from './saga-instance.js';

/** What can happen to a saga. Stored with each transition, so that a recorded saga can be replayed. */
export type SagaEvent =
  | { readonly type: 'start'; readonly data: SagaData; readonly deadlineMs: number | null }
  | {
      readonly type: 'reply';
      readonly step: string;
      readonly op: SagaOp;
      readonly attempt: number;
      readonly status: ReplyStatus;
      readonly payload?: unknown;
      readonly error?: string;
      /** The participant holds something for the saga. */
      readonly holds?: boolean;
    }
  /** A local action has ended in this transaction. */
  | {
      readonly type: 'local';
      readonly step: string;
      readonly undo: boolean;
      readonly attempt: number;
      /** `unusable`: it was rolled back because its result is unusable. */
      readonly status: 'done' | 'rejected' | 'failed' | 'unusable';
      readonly payload?: unknown;
      readonly error?: string;
      /** It must not be retried. */
      readonly final?: boolean;
    }
  | ChildEvent
  /** Something may be due by now. */
  | { readonly type: 'due' }
  /** Told once, where it has an id. */
  | { readonly type: 'signal'; readonly name: string; readonly payload: unknown; readonly id?: string }
  /** What a step waits for has come from another service. */
  | { readonly type: 'event'; readonly step: string; readonly payload: unknown }
  /** Its parent is compensated. */
  | { readonly type: 'undo'; readonly reason: string }
  /** A command could not be sent as it is. */
  | { readonly type: 'unsendable'; readonly step: string; readonly error: string }
  | { readonly type: 'retry'; readonly step: string }
  | { readonly type: 'skip'; readonly step: string }
  | { readonly type: 'resolve'; readonly step: string; readonly data: SagaData }
  /** An operator has it compensated, even after its pivot. */
  | { readonly type: 'compensate'; readonly reason: string }
  /** Its service has it compensated, unless it has passed a pivot. */
  | { readonly type: 'turn'; readonly reason: string }
  | { readonly type: 'cancel'; readonly reason: string };

/** A child's notice to its parent. */
export interface ChildEvent {
  readonly type: 'child';
  readonly step: string;
  readonly state: SagaState;
  readonly data: SagaData;
  /** It has passed its pivot and only goes forward. */
  readonly pivot: boolean;
  /** It was to be undone, but will not be. */
  readonly refused?: boolean;
}

/** An operator's order. It comes from `waybill.order_saga()`, which records the login, and never from the log. */
export type OrderEvent = Extract<SagaEvent, { type: 'retry' | 'skip' | 'resolve' | 'compensate' | 'cancel' }>;

/** What a transition requires, to be done in its transaction. */
export type SagaOutput =
  | {
      readonly type: 'command';
      readonly step: string;
      readonly op: SagaOp;
      readonly attempt: number;
      readonly topic: string;
      /** Set for one that goes to an HTTP endpoint. */
      readonly url?: string | undefined;
      readonly payload: unknown;
      /** An operator ordered it in spite of a rejection. */
      readonly again: boolean;
    }
  | { readonly type: 'local'; readonly step: string; readonly undo: boolean; readonly attempt: number }
  | {
      readonly type: 'child';
      readonly step: string;
      readonly attempt: number;
      readonly childType: string;
      readonly childVersion: number;
      readonly key: string;
      readonly data: SagaData;
    }
  | { readonly type: 'undo-child'; readonly step: string }
  /** Its parent wants it undone, and it only goes forward. */
  | { readonly type: 'refuse-undo' }
  /** Reminds somebody that the step waits. */
  | {
      readonly type: 'reminder';
      readonly step: string;
      readonly number: number;
      /** When it was sent, in milliseconds since the start: a barrier judges its age by this, not by the time of the wait. */
      readonly begunMs: number;
      readonly topic: string;
      readonly payload: unknown;
    }
  /** The step waits for an event of this topic that carries this. */
  | { readonly type: 'await-event'; readonly step: string; readonly topic: string; readonly match: string }
  /** It does not any more. */
  | { readonly type: 'forget-event'; readonly step: string }
  /** A signal or an event came that nothing waits for: it is kept, and shown. */
  | {
      readonly type: 'unawaited';
      readonly kind: 'signal' | 'event';
      readonly name: string;
      readonly payload: unknown;
      readonly why: string;
    }
  /** What the participant of the step holds for the saga is to be let go. */
  | { readonly type: 'release'; readonly step: string }
  /** The event did not change anything: why. */
  | { readonly type: 'ignored'; readonly why: string };
