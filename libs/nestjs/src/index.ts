export {
  type ConsumerOptions,
  deadLetter,
  drop,
  type HandlerVerdict,
  retryIn,
  type SubscriptionOptions,
} from '@waybill/consumer';
export {
  HalfMessageOperations,
  type HalfMessageDetail,
  type HalfMessageOptions,
  HalfMessages,
  type HalfMessageSummary,
  type HalfMessageVerdict,
  type HalfToCheck,
  type PreparedHalf,
} from '@waybill/half-message';
export {
  type BarrierOutcome,
  BarrierParticipant,
  type EffectQueryResult,
  type EffectCall,
  EffectOperations,
  type EffectFilter,
  type EffectSummary,
  ExternalEffects,
  MessageIdGuard,
  LeaseGuard,
  type OnceOptions,
  type OnceOutcome,
  type UndoOutcome,
} from '@waybill/guard';
export {
  type CallReply,
  type HttpCommandOptions,
  type SagaCommandContract,
  type LaterReply,
  type SagaBulk,
  type SagaBulkMatch,
  type SagaBulkOptions,
  type SagaBulkOrder,
  type SagaBulkProgress,
  type SagaBulkSummary,
  SagaOperations,
  type SagaDetail,
  type SagaFilter,
  type SagaLock,
  SagaLockOperations,
  type SagaLockFilter,
  SagaOngoingError,
  type SagaQuery,
  SagaRejectedError,
  type SagaSummary,
  Sagas,
  type SagaStartedByOptions,
  type SagaState,
  type UnclaimedEvent,
  httpCommand,
  saga,
  sagaCommand,
  Tcc,
  tcc,
  tccBranch,
  type SagaOutcome,
  type TccOutcome,
  type TccRun,
} from '@waybill/saga';
export { type ModuleSagaOptions } from './options/saga-options.js';
export { SagaContext } from './sagas/saga-context.js';
export {
  Saga,
  SagaCommand,
  type SagaCommandOptions,
  SagaParticipant,
  type SagaProviderOptions,
  SagaStartedBy,
} from './sagas/saga.decorators.js';
export { SagaNotFound, type SagaNotFoundOptions } from './sagas/saga-not-found.js';
export { HalfMessageCheck, type HalfMessageCheckTarget } from './half-messages/half-message-check.js';
export { Idempotent, type IdempotentOptions } from './handler/idempotent.js';
export { type IdempotentGuard } from './guards/guard-kind.js';
export {
  IdempotencyInterceptor,
  IdempotencyKey,
  IdempotentRequest,
  type IdempotentRequestOptions,
} from './http/idempotent-request.js';
export { type ModuleGuardOptions } from './options/guard-options.js';
export { type ModuleHalfMessageOptions } from './options/half-message-options.js';
export {
  EffectRefusedError,
  isWaybillError,
  NonRetryableError,
  type Operator,
  PayloadInvalidError,
  type PayloadIssue,
  PayloadVersionUnknownError,
  PayloadVersionUnsupportedError,
  type RemoteError,
  RequestFailedError,
  RequestTimedOutError,
  RetryableError,
  WaybillError,
} from '@waybill/kernel';
export { SagaCommandOverError } from '@waybill/saga';
export {
  aesCipher,
  type AesCipherOptions,
  type Cipher,
  type CipherContext,
  contextBytes,
} from '@waybill/log';
export {
  bytesCodec,
  extendedJson,
  type CloudEvent,
  cloudEventOf,
  type CloudEventOptions,
  type Codec,
  jsonCodec,
  type Message,
  Outbox,
  type PayloadInputOf,
  type PayloadOf,
  type Published,
  type SigningKey,
  type SigningOptions,
  type StandardSchemaV1,
  type TopicSchema,
  type TopicSchemas,
  type TransactionOutbox,
} from '@waybill/outbox';
export {
  type DeadLetterDetail,
  type DeadLetterFilter,
  DeadLetters,
  type DeadLetterSummary,
  Redrives,
} from '@waybill/dead-letter';
export { Erasure, type ErasureReport, type ErasureTarget } from '@waybill/erasure';
export {
  Recurring,
  type RecurringDefinition,
  type RedisGiven,
  Timers,
  type TimerServiceOptions,
} from '@waybill/timer';
export { BatchFailure, type RetryPolicyOptions } from '@waybill/consumer';
export { type BatchExtra } from './server/batch-extras.js';
export { getWaybillToken, InjectWaybill, type WaybillProvided } from './injection/waybill-token.js';
export { RequestGuard } from './guards/request-guard.js';
export { waybillTransport } from './options/instance-name.js';
export {
  WaybillClient,
  waybillClient,
  type WaybillClientEvents,
  type WaybillClientSettings,
  type WaybillClientStatus,
} from './client/waybill-client.js';
export { type AsyncApiDocument, type AsyncApiInfo } from './async-api/async-api-document.js';
export { WaybillAsyncApi } from './async-api/waybill-async-api.js';
export {
  WaybillAsyncApiModule,
  type WaybillAsyncApiModuleOptions,
} from './module/waybill-async-api.module.js';
export { WaybillRecord, type WaybillRecordOptions } from './client/waybill-record.js';
export { WaybillContext } from './handler/waybill-context.js';
export { type MetricsOptions, WaybillMetrics } from './observability/waybill-metrics.js';
export { type WaybillHealth, WaybillHealthIndicator } from './observability/waybill-health.js';
export { type WaybillModuleExtras, WaybillModule } from './module/waybill.module.js';
export { type WaybillDatabaseOptions, type WaybillModuleOptions } from './options/waybill-options.js';
export {
  WaybillServer,
  type WaybillServerEvents,
  type WaybillServerStatus,
} from './server/waybill-server.js';
export {
  drizzleTransactions,
  knexTransactions,
  kyselyTransactions,
  mikroOrmTransactions,
  prismaTransactions,
  typeormTransactions,
} from './transactions/orm-transactions.js';
export { joinDeliveries, type TransactionalAdapterLike } from './transactions/transaction-host.js';
export { type AmbientOptions, type TransactionHostLike } from './options/ambient-options.js';
export { type WaybillClientOptions } from './options/client-options.js';
export { type WaybillServerOptions } from './options/server-options.js';
export { type TransactionRunnerFactory } from './options/runner-factory.js';
export { type TracingOptions } from './options/tracing-options.js';
export { WaybillCqrsModule, type WaybillCqrsOptions } from './bridges/cqrs.module.js';
export { type CqrsEventRoute, WaybillEvent, type WaybillEventOptions } from './bridges/cqrs-event.js';
export {
  NestOutboxDeserializer,
  type NestOutboxMessage,
  WaybillOutboxTransport,
} from './bridges/nest-outbox.js';
export { Waybill } from './instance/waybill.js';
export type { WaybillFeature } from './module/waybill-feature.js';
