export { type Answers, type AnswerTransaction, OutboxAnswers } from './answers.js';
export { isSagaDefinition, saga, SagaBuilder, SagaGroup, type SagaOptions } from './saga-builder.js';
export { httpCommand, type SagaCommand, sagaCommand, type SagaOp } from './saga-command.js';
export type { LocalContext, SagaData, SagaDefinition } from './saga-definition.js';
export { SagaDefinitions } from './saga-definitions.js';
export {
  type OrderOptions,
  SagaDesk,
  type SagaDeskParts,
  type SagaDetail,
  type SagaFilter,
  type SagaOrderSummary,
  type SagaRefusal,
  type SagaStats,
  type SagaSummary,
  type SagaTimelineEntry,
} from './saga-desk.js';
export { SagaEngine, type SagaEngineParts } from './saga-engine.js';
export { type SagaHttpCall, type SagaHttpOptions } from './saga-endpoint.js';
export type { OrderEvent, SagaEvent, SagaOutput } from './saga-event.js';
export { callTopicOf, replyTopicOf, SAGA_ID_HEADER } from './saga-headers.js';
export {
  isEnd,
  type SagaInstance,
  type SagaState,
  type StepRecord,
  type StepStatus,
} from './saga-instance.js';
export {
  type SagaBranch,
  type SagaLock,
  type SagaLockOptions,
  SagaLocks,
  type StashRules,
} from './saga-locks.js';
export { advance, newInstance, type Transition } from './saga-machine.js';
export { sagaDiagram } from './saga-diagram.js';
export { callOf, SagaParticipant, type SagaParticipantParts } from './saga-participant.js';
export { SagaOngoing, SagaRejection } from './saga-rejection.js';
export { type SagaTrace, type TransitionToTrace } from './saga-trace.js';
export { SagaRetention, type SagaRetentionOptions } from './saga-retention.js';
export { SagaService, type SagaServiceOptions, type SagaServiceParts } from './saga-service.js';
export type {
  ChildStep,
  CommandStep,
  CommandUndo,
  LocalStep,
  LocalUndo,
  SignalStep,
  StepBase,
} from './saga-steps.js';
export {
  type SagaOutcome,
  type SagaOutcomeOptions,
  type SagaRef,
  Sagas,
  type SagasParts,
  type SagaStart,
  type SagaStarted,
} from './sagas.js';
export { type RecordedSaga, type SagaDifference, verifySaga } from './saga-verify.js';
export { type StepPolicyOptions } from './step-policy.js';
export { tcc, type TccBranch, tccBranch, type TccTries } from './tcc.js';
export { Tcc, type TccOutcome, type TccRun } from './tcc-run.js';
