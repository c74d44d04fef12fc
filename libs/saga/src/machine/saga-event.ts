import type { ReplyStatus } from '@waybill/consumer';
import type { SagaOp } from '../definition/saga-command.js';
import type { SagaData } from '../definition/saga-definition.js';
import type { SagaState } from './saga-instance.js';

/** What can happen to a saga. Kept with each transition, so that a recorded saga can be run again. */
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
    }
  /** A local action has ended in this transaction. */
  | {
      readonly type: 'local';
      readonly step: string;
      readonly undo: boolean;
      readonly status: 'done' | 'rejected' | 'failed';
      readonly payload?: unknown;
      readonly error?: string;
    }
  | { readonly type: 'child'; readonly step: string; readonly state: SagaState; readonly data: SagaData }
  /** Something may be due by now. */
  | { readonly type: 'due' }
  | { readonly type: 'signal'; readonly name: string; readonly payload: unknown }
  /** Its parent is compensated. */
  | { readonly type: 'undo'; readonly reason: string }
  /** A command could not be sent as it is. */
  | { readonly type: 'unsendable'; readonly step: string; readonly error: string }
  | { readonly type: 'retry'; readonly step: string }
  | { readonly type: 'skip'; readonly step: string }
  | { readonly type: 'resolve'; readonly step: string; readonly data: SagaData }
  | { readonly type: 'compensate'; readonly reason: string }
  | { readonly type: 'cancel'; readonly reason: string };

/** What an operator may order. It comes by `waybill.order_saga()`, which knows the login, and never by the log. */
export type OrderEvent = Extract<SagaEvent, { type: 'retry' | 'skip' | 'resolve' | 'compensate' | 'cancel' }>;

/** What a transition asks for, to be done in its transaction. */
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
      /** An operator wants it in spite of a rejection. */
      readonly again: boolean;
    }
  | { readonly type: 'local'; readonly step: string; readonly undo: boolean; readonly attempt: number }
  | {
      readonly type: 'child';
      readonly step: string;
      readonly childType: string;
      readonly childVersion: number;
      readonly key: string;
      readonly data: SagaData;
    }
  | { readonly type: 'undo-child'; readonly step: string }
  /** The event did not change anything: why. */
  | { readonly type: 'ignored'; readonly why: string };
