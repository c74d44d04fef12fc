export { type Replies, type ReplyTransaction } from './participant/replies.js';
export { saga, SagaBuilder } from './builder/saga-builder.js';
export { SagaGroup } from './builder/saga-group.js';
export type { AttributesOf, AttributeValue } from './definition/attributes.js';
export { type SagaOptions } from './builder/step-drafts.js';
export type {
  EachBase,
  EachChild,
  EachChildStep,
  EachCommand,
  EachCommandStep,
  EachLocal,
  EachLocalStep,
} from './builder/each-step.js';
export { httpCommand, type HttpCommandOptions } from './definition/http-command.js';
export {
  type HttpCallName,
  type SagaCommandContract,
  sagaCommand,
  type SagaOp,
} from './definition/saga-command.js';
export type {
  FinalError,
  LocalContext,
  SagaData,
  SagaDefinition,
  SagaEnd,
} from './definition/saga-definition.js';
export { SagaDefinitions } from './definition/saga-definitions.js';
export { type SagaStartedByOptions, type SagaStartRule, startedBy } from './definition/saga-start.js';
export { type SagaEventOptions } from './loop/saga-events.js';
export { type UnclaimedEvent, type UnclaimedHandler } from './loop/unclaimed-events.js';
export {
  type OrderOptions,
  SagaOperations,
  type SagaCallSummary,
  type SagaDetail,
  type SagaOrderSummary,
  type SagaRefusal,
  type SagaStats,
  type SagaTimelineEntry,
} from './operator/saga-operations.js';
export {
  type SagaBulk,
  type SagaBulkMatch,
  type SagaBulkOptions,
  type SagaBulkOrder,
  type SagaBulkProgress,
  type SagaBulkSummary,
} from './operator/saga-bulk.js';
export { type SagaFilter, type SagaQuery, type SagaSummary } from './operator/saga-search.js';
export { SagaEngine } from './engine/saga-engine.js';
export { type SagaHttpCall, type SagaHttpOptions } from './http/saga-endpoint.js';
export type { SagaEvent, SagaOutput } from './machine/saga-event.js';
export { eventGroupOf } from './message/saga-headers.js';
export {
  type SagaInstance,
  type SagaState,
  type StepRecord,
  type StepStatus,
} from './machine/saga-instance.js';
export { type SagaBranch, type SagaLockOptions, SagaLocks } from './participant/saga-locks.js';
export { type NewInstance, newInstance } from './machine/next-transition.js';
export { type SagaLock, type SagaLockFilter } from './participant/held-entities.js';
export { SagaLockOperations } from './operator/saga-lock-operations.js';
export { type SagaIgnored } from './operator/saga-ignored.js';
export { sagaDiagram } from './operator/saga-diagram.js';
export { type LaterReply } from './participant/later-reply.js';
export { SagaOngoingError, SagaRejectedError } from './machine/saga-rejected-error.js';
export { SagaRetention, type SagaRetentionOptions } from './loop/saga-retention.js';
export type { UnservedSagas } from './engine/registered-definitions.js';
export { SagaLoop, type SagaLoopOptions } from './loop/saga-loop.js';
export type {
  ChildStep,
  CommandStep,
  CommandUndo,
  EventStep,
  LocalStep,
  LocalUndo,
  ReminderStep,
  SignalStep,
  SleepTime,
  StepBase,
  WaitingStep,
} from './definition/saga-steps.js';
export type { CallReply } from './client/call-reply.js';
export {
  type SagaOutcome,
  type SagaOutcomeOptions,
  type SagaRef,
  type SagaSignalOptions,
  Sagas,
  type SagaStart,
  type SagaStarted,
} from './client/sagas.js';
export { type RecordedSaga, type SagaDifference, verifySaga } from './operator/verify-saga.js';
export { type StepPolicyOptions } from './definition/step-policy.js';
export { tcc, type TccBranch, tccBranch, type TccTries } from './builder/tcc.js';
export { Tcc, type TccOutcome, type TccRun } from './client/tcc-run.js';
export {
  SagaVersionUnknownError,
  SagaUnderWayError,
  type CommandOver,
  SagaCommandOverError,
  SagaOrderRefusedError,
  SagaCallbackRefusedError,
  EndpointRefusedError,
  SagaInputError,
  SagaSignalUnknownError,
  SagaDefinitionChangedError,
  SagaNotRegisteredError,
} from './errors/saga-errors.js';
