export { type Answers, type AnswerTransaction, OutboxAnswers } from './participant/answers.js';
export {
  isSagaDefinition,
  saga,
  SagaBuilder,
  SagaGroup,
  type SagaOptions,
} from './definition/saga-builder.js';
export { httpCommand, type HttpCommandOptions } from './definition/http-command.js';
export { type HttpCallName, type SagaCommand, sagaCommand, type SagaOp } from './definition/saga-command.js';
export type { LocalContext, SagaData, SagaDefinition } from './definition/saga-definition.js';
export { SagaDefinitions } from './definition/saga-definitions.js';
export {
  type OrderOptions,
  SagaDesk,
  type SagaCallSummary,
  type SagaDeskParts,
  type SagaDetail,
  type SagaFilter,
  type SagaOrderSummary,
  type SagaRefusal,
  type SagaStats,
  type SagaSummary,
  type SagaTimelineEntry,
} from './operator/saga-desk.js';
export { SagaEngine, type SagaEngineParts } from './engine/saga-engine.js';
export { type SagaHttpCall, type SagaHttpOptions } from './http/saga-endpoint.js';
export type { OrderEvent, SagaEvent, SagaOutput } from './machine/saga-event.js';
export { replyTopicOf, SAGA_ID_HEADER } from './engine/saga-headers.js';
export {
  isEnd,
  type SagaInstance,
  type SagaState,
  type StepRecord,
  type StepStatus,
} from './machine/saga-instance.js';
export {
  type SagaBranch,
  type SagaLock,
  type SagaLockOptions,
  SagaLocks,
  type StashRules,
} from './participant/saga-locks.js';
export { advance, newInstance, type Transition } from './machine/saga-machine.js';
export { sagaDiagram } from './operator/saga-diagram.js';
export { callOf, SagaParticipant, type SagaParticipantParts } from './participant/saga-participant.js';
export { SagaOngoing, SagaRejection } from './machine/saga-rejection.js';
export { type SagaTrace, type TransitionToTrace } from './engine/saga-trace.js';
export { SagaRetention, type SagaRetentionOptions } from './engine/saga-retention.js';
export { SagaService, type SagaServiceOptions, type SagaServiceParts } from './engine/saga-service.js';
export type {
  ChildStep,
  CommandStep,
  CommandUndo,
  LocalStep,
  LocalUndo,
  SignalStep,
  StepBase,
} from './definition/saga-steps.js';
export type { CallAnswer } from './client/call-answers.js';
export {
  type SagaOutcome,
  type SagaOutcomeOptions,
  type SagaRef,
  Sagas,
  type SagasParts,
  type SagaStart,
  type SagaStarted,
} from './client/sagas.js';
export { type RecordedSaga, type SagaDifference, verifySaga } from './operator/saga-verify.js';
export { type StepPolicyOptions } from './definition/step-policy.js';
export { tcc, type TccBranch, tccBranch, type TccTries } from './definition/tcc.js';
export { Tcc, type TccOutcome, type TccRun } from './client/tcc-run.js';
