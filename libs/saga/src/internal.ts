/** What only Waybill's own packages import. It may change in any release: applications import `index`. */

export { OutboxReplies } from './participant/replies.js';
export { isSagaDefinition } from './builder/saga-builder.js';
export type { OrderEvent } from './machine/saga-event.js';
export { replyTopicOf, SAGA_ID_HEADER } from './message/saga-headers.js';
export { isEnd, stateOf } from './machine/saga-instance.js';
export { hasPassedPivot, nextTransition } from './machine/next-transition.js';
export { isVoid, isWithdrawn } from './machine/void-output.js';
export { SagaEventOperations, type SagaEventWait } from './operator/saga-event-operations.js';
export { overdueSagas, sagaStats } from './statements.generated.js';
export { callOf, isRelease } from './participant/saga-call.js';
export { SagaCommandServer } from './participant/saga-command-server.js';
export { type SagaTrace, type TransitionToTrace } from './engine/saga-trace.js';
