export { type Answers, type AnswerTransaction, OutboxAnswers } from './participant/answers.js';
export { isSagaDefinition, saga, SagaBuilder } from './builder/saga-builder.js';
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
  type SagaOperationsDependencies,
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
export { SagaEngine, type SagaEngineDependencies } from './engine/saga-engine.js';
export { type SagaHttpCall, type SagaHttpOptions } from './http/saga-endpoint.js';
export type { OrderEvent, SagaEvent, SagaOutput } from './machine/saga-event.js';
export { eventGroupOf, replyTopicOf, SAGA_ID_HEADER } from './message/saga-headers.js';
export {
  isEnd,
  type SagaInstance,
  type SagaState,
  type StepRecord,
  type StepStatus,
} from './machine/saga-instance.js';
export {
  type SagaBranch,
  type SagaLockOptions,
  SagaLocks,
  type StashRules,
} from './participant/saga-locks.js';
export { nextTransition, type NewInstance, newInstance, type Transition } from './machine/next-transition.js';
export { isVoid } from './machine/void-output.js';
export { type SagaLock, type SagaLockFilter } from './participant/held-entities.js';
export { SagaEventOperations, type SagaEventWait } from './operator/saga-event-operations.js';
export { SagaLockOperations } from './operator/saga-lock-operations.js';
export { type SagaIgnored } from './operator/saga-ignored.js';
export { sagaDiagram } from './operator/saga-diagram.js';
export { type LaterAnswer } from './participant/later-answer.js';
export { callOf, isRelease } from './participant/saga-call.js';
export { SagaCommandServer, type SagaCommandServerDependencies } from './participant/saga-command-server.js';
export { SagaOngoing, SagaRejection } from './machine/saga-rejection.js';
export { type SagaTrace, type TransitionToTrace } from './engine/saga-trace.js';
export { SagaRetention, type SagaRetentionOptions } from './loop/saga-retention.js';
export type { UnservedSagas } from './engine/registered-definitions.js';
export { SagaLoop, type SagaLoopOptions, type SagaLoopDependencies } from './loop/saga-loop.js';
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
export type { CallAnswer } from './client/call-answers.js';
export {
  type SagaOutcome,
  type SagaOutcomeOptions,
  type SagaRef,
  type SagaSignalOptions,
  Sagas,
  type SagasDependencies,
  type SagaStart,
  type SagaStarted,
} from './client/sagas.js';
export { type RecordedSaga, type SagaDifference, verifySaga } from './operator/saga-verify.js';
export { type StepPolicyOptions } from './definition/step-policy.js';
export { tcc, type TccBranch, tccBranch, type TccTries } from './builder/tcc.js';
export { Tcc, type TccOutcome, type TccRun } from './client/tcc-run.js';
export * from './errors/saga-errors.js';
