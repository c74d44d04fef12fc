export { type ConsumerOptions, type SubscriptionOptions } from '@waybill/consumer';
export { isWaybillError, NonRetryableError, RetryableError, WaybillError } from '@waybill/kernel';
export { bytesCodec, type Codec, jsonCodec, type Message, Outbox, type Published } from '@waybill/outbox';
export {
  getHealthToken,
  getOutboxToken,
  getServerToken,
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
