/** Which saga a command or an answer belongs to. */
export const SAGA_ID_HEADER = 'saga-id';
export const SAGA_STEP_HEADER = 'saga-step';
/** What the barrier of the participant knows the step by. */
export const SAGA_BRANCH_HEADER = 'saga-branch';
export const SAGA_OP_HEADER = 'saga-op';
export const SAGA_ATTEMPT_HEADER = 'saga-attempt';
/** Set when an operator wants a command carried out in spite of a rejection. */
export const SAGA_AGAIN_HEADER = 'saga-again';
/** In a message to the saga that is no answer: what it is. Its payload is the event. */
export const SAGA_EVENT_HEADER = 'saga-event';

/** Where an HTTP call goes. */
export const SAGA_URL_HEADER = 'saga-url';

/** The topic of the HTTP calls of a service's sagas. */
export function callTopicOf(group: string): string {
  return `${group}.saga-calls`;
}

/** The topic of the answers to a service's sagas. */
export function replyTopicOf(group: string): string {
  return `${group}.saga-replies`;
}
