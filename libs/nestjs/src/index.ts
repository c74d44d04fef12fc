export {
  type ConsumerOptions,
  deadLetter,
  drop,
  type HandlerVerdict,
  retryIn,
  type SubscriptionOptions,
} from '@waybill/consumer';
export {
  HalfMessageDesk,
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
  type EffectAnswer,
  type EffectCall,
  EffectDesk,
  type EffectFilter,
  type EffectSummary,
  ExternalEffects,
  Inbox,
  LeaseGuard,
  type OnceOptions,
  type OnceOutcome,
  type UndoOutcome,
} from '@waybill/inbox';
export {
  type CallAnswer,
  type HttpCommandOptions,
  type SagaCommand as SagaCommandContract,
  type LaterAnswer,
  type SagaBulk,
  type SagaBulkMatch,
  type SagaBulkOptions,
  type SagaBulkOrder,
  type SagaBulkProgress,
  type SagaBulkSummary,
  SagaDesk,
  type SagaDetail,
  type SagaFilter,
  type SagaLock,
  SagaLockDesk,
  type SagaLockFilter,
  SagaOngoing,
  type SagaQuery,
  SagaRejection,
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
export { type ModuleSagaOptions } from './instance-sagas.js';
export { SagaContext } from './saga-context.js';
export {
  Saga,
  SagaCommand,
  type SagaCommandOptions,
  SagaParticipant,
  type SagaProviderOptions,
  SagaStartedBy,
} from './saga.decorators.js';
export { SagaNotFound, type SagaNotFoundOptions } from './saga-not-found.js';
export { HalfMessageCheck, type HalfMessageCheckTarget } from './half-message-check.js';
export { Idempotent, type IdempotentGuard, type IdempotentOptions } from './idempotent.js';
export {
  IdempotencyInterceptor,
  IdempotencyKey,
  IdempotentRequest,
  type IdempotentRequestOptions,
} from './idempotent-request.js';
export { type ModuleGuardOptions } from './instance-guards.js';
export { type ModuleHalfMessageOptions } from './instance-half-messages.js';
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
  SagaCommandOverError,
  WaybillError,
} from '@waybill/kernel';
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
  Erasure,
  type ErasureReport,
  type ErasureTarget,
  Recurring,
  type RecurringDefinition,
  type RedisGiven,
  Redrives,
  type RetryPolicyOptions,
  Timers,
  type TimerServiceOptions,
} from '@waybill/schedule';
export {
  getAsyncApiToken,
  getBarrierToken,
  getClientToken,
  getDeadLettersToken,
  getEffectDeskToken,
  getErasureToken,
  getExternalEffectsToken,
  getHalfMessageDeskToken,
  getHalfMessagesToken,
  getHealthToken,
  getInboxToken,
  getLeaseGuardToken,
  getMetricsToken,
  getOutboxToken,
  getRecurringToken,
  getRedrivesToken,
  getRequestGuardToken,
  getSagaDeskToken,
  getSagaLockDeskToken,
  getSagasToken,
  getTccToken,
  getServerToken,
  getTimersToken,
  getWaybillToken,
  InjectOutbox,
  waybillTransport,
} from './tokens.js';
export {
  WaybillClient,
  waybillClient,
  type WaybillClientEvents,
  type WaybillClientOptions,
  type WaybillClientSettings,
  type WaybillClientStatus,
} from './waybill-client.js';
export { type AsyncApiDocument, type AsyncApiInfo } from './async-api/async-api-document.js';
export { WaybillAsyncApi } from './async-api/waybill-async-api.js';
export {
  WaybillAsyncApiModule,
  type WaybillAsyncApiModuleOptions,
} from './async-api/waybill-async-api.module.js';
export { WaybillRecord, type WaybillRecordOptions } from './waybill-record.js';
export { WaybillContext } from './waybill-context.js';
export { type MetricsOptions, WaybillMetrics } from './metrics/waybill-metrics.js';
export { type WaybillHealth, WaybillHealthIndicator } from './waybill-health.js';
export { type WaybillModuleExtras, WaybillModule } from './waybill.module.js';
export {
  type TransactionRunnerFactory,
  type WaybillDatabaseOptions,
  type WaybillModuleOptions,
} from './waybill-options.js';
export {
  WaybillServer,
  type WaybillServerEvents,
  type WaybillServerOptions,
  type WaybillServerStatus,
} from './waybill-server.js';
export {
  drizzleTransactions,
  knexTransactions,
  kyselyTransactions,
  mikroOrmTransactions,
  prismaTransactions,
  typeormTransactions,
} from './orm-transactions.js';
export {
  joinDeliveries,
  type TransactionalAdapterLike,
  type TransactionHostLike,
} from './transaction-host.js';
export { type AmbientOptions } from './ambient-transaction.js';
export { type TracingOptions } from './tracing/tracing-options.js';
export { WaybillCqrsModule, type WaybillCqrsOptions } from './bridges/cqrs.module.js';
export { type CqrsEventRoute, WaybillEvent, type WaybillEventOptions } from './bridges/cqrs-event.js';
export {
  NestOutboxDeserializer,
  type NestOutboxMessage,
  WaybillOutboxTransport,
} from './bridges/nest-outbox.js';
export { Waybill } from './waybill.js';
export type { WaybillFeature } from './waybill-feature.js';
