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
export { HalfMessageCheck, type HalfMessageCheckTarget } from './half-message-check.js';
export { type ModuleHalfMessageOptions } from './instance-half-messages.js';
export { isWaybillError, NonRetryableError, RetryableError, WaybillError } from '@waybill/kernel';
export {
  bytesCodec,
  type Codec,
  jsonCodec,
  type Message,
  Outbox,
  type Published,
  type TransactionOutbox,
} from '@waybill/outbox';
export {
  type DeadLetterDetail,
  type DeadLetterFilter,
  DeadLetters,
  type DeadLetterSummary,
  type Operator,
  Recurring,
  type RecurringDefinition,
  type RedisGiven,
  Redrives,
  type RetryPolicyOptions,
  Timers,
  type TimerServiceOptions,
} from '@waybill/schedule';
export {
  getDeadLettersToken,
  getHalfMessageDeskToken,
  getHalfMessagesToken,
  getHealthToken,
  getOutboxToken,
  getRecurringToken,
  getRedrivesToken,
  getServerToken,
  getTimersToken,
  getWaybillToken,
  InjectOutbox,
  waybillTransport,
} from './tokens.js';
export { WaybillContext } from './waybill-context.js';
export { type WaybillHealth, WaybillHealthIndicator } from './waybill-health.js';
export { type WaybillModuleExtras, WaybillModule } from './waybill.module.js';
export {
  type TransactionRunnerFactory,
  type WaybillDatabaseOptions,
  type WaybillModuleOptions,
} from './waybill-options.js';
export { WaybillServer, type WaybillServerEvents, type WaybillServerStatus } from './waybill-server.js';
export { prismaTransactions, Waybill } from './waybill.js';
