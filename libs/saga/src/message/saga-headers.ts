/** Control headers of sagas: Waybill's own, which users cannot write. */

/** Which saga a command or an answer belongs to. */
export const SAGA_ID_HEADER = 'waybill-saga-id';
export const SAGA_STEP_HEADER = 'waybill-saga-step';
/** What the barrier of the participant knows the step by. */
export const SAGA_BRANCH_HEADER = 'waybill-saga-branch';
export const SAGA_OP_HEADER = 'waybill-saga-op';
export const SAGA_ATTEMPT_HEADER = 'waybill-saga-attempt';
/** When the first command of the step's operation was made, in milliseconds after the time in the saga's id; absent: 0. */
export const SAGA_BEGUN_HEADER = 'waybill-saga-begun';
/**
 * In a command that takes another back: when that one was begun, as in the header above, then `,done` or `,unknown`: whether
 * the saga knows by an answer that it was done.
 */
export const SAGA_ORIGIN_HEADER = 'waybill-saga-origin';
/** In an answer: the participant holds something for the saga, which is to tell it when it has ended. */
export const SAGA_HOLDS_HEADER = 'waybill-saga-holds';
/** The operation of the message that tells a participant that a saga has ended: it asks for nothing, and is not answered. */
export const SAGA_RELEASE_OP = 'release';
/** Set when an operator wants a command carried out in spite of a rejection. */
export const SAGA_AGAIN_HEADER = 'waybill-saga-again';
/** In a message to the saga that is no answer: what it is. Its payload is the event. */
export const SAGA_EVENT_HEADER = 'waybill-saga-event';
/** Shows that a command, an answer or an event is of the saga's own service; see `SagaKeys`. */
export const SAGA_MAC_HEADER = 'waybill-saga-mac';
/** Of an HTTP call whose answer may come later: a token that names the call, and that only its endpoint is given. */
export const CALLBACK_HEADER = 'waybill-callback';

/** The topic of the answers to a service's sagas. */
export function replyTopicOf(group: string): string {
  return `${group}.saga-replies`;
}

/**
 * The group in which a service consumes the events that its sagas are started or carried on by: a group of its own, so that
 * handlers of the same topics get every event as well.
 */
export function eventGroupOf(group: string): string {
  return `${group}.sagas`;
}
