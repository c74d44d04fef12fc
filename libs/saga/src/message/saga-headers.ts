/** Control headers of sagas: set by Waybill only. */

/** The saga of a command or a reply. */
export const SAGA_ID_HEADER = 'waybill-saga-id';
export const SAGA_STEP_HEADER = 'waybill-saga-step';
/** The step's name at the participant's barrier. */
export const SAGA_BRANCH_HEADER = 'waybill-saga-branch';
export const SAGA_OP_HEADER = 'waybill-saga-op';
export const SAGA_ATTEMPT_HEADER = 'waybill-saga-attempt';
/** When the first command of the step's operation was made, in milliseconds after the time in the saga's id; absent: 0. */
export const SAGA_BEGUN_HEADER = 'waybill-saga-begun';
/**
 * In a command that undoes another: when that one started, as in the header above, then `,done` or `,unknown`: whether
 * the saga knows from a reply that it was done.
 */
export const SAGA_ORIGIN_HEADER = 'waybill-saga-origin';
/** In a reply: the participant holds something for the saga, which must notify it at its end. */
export const SAGA_HOLDS_HEADER = 'waybill-saga-holds';
/** The operation of the notice to a participant that a saga has ended. It expects no reply. */
export const SAGA_RELEASE_OP = 'release';
/** Set when an operator ordered a command in spite of a rejection. */
export const SAGA_AGAIN_HEADER = 'waybill-saga-again';
/** In a message to the saga other than a reply: its kind. Its payload is the event. */
export const SAGA_EVENT_HEADER = 'waybill-saga-event';
/** Proves that a command, a reply or an event belongs to the saga's own service; see `SagaKeys`. */
export const SAGA_MAC_HEADER = 'waybill-saga-mac';
/** For an HTTP call with a later reply: a token that identifies the call and that only its endpoint gets. */
export const CALLBACK_HEADER = 'waybill-callback';

/** The reply topic of a service's sagas. */
export function replyTopicOf(group: string): string {
  return `${group}.saga-replies`;
}

/**
 * The group in which a service consumes the events that start or resume its sagas: a separate group, so that
 * handlers of the same topics get every event as well.
 */
export function eventGroupOf(group: string): string {
  return `${group}.sagas`;
}
