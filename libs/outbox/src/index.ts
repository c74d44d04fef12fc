export { bytesCodec, type Codec, jsonCodec } from './codec.js';
export { type EncodedMessage, type Message } from './message.js';
export { type MessageTimes } from './message-times.js';
export { Outbox, type OutboxOptions, type Published } from './outbox.js';
export {
  OutboxTransactions,
  type OutboxTransactionsOptions,
  type TransactionOutbox,
} from './outbox-transactions.js';
export { outboxBacklog, type OutboxBacklog } from './outbox-backlog.js';
export { OutboxRetention, type OutboxRetentionOptions } from './outbox-retention.js';
export { type PrismaRawClient, PrismaSession } from './prisma-session.js';
export { PrismaTransactionRunner, type PrismaTransactions } from './prisma-transactions.js';
export { adoptCluster, Relay, type RelayOptions } from './relay.js';
export { type TimerDelay } from './timer-changes.js';
export { joinTransaction, type PgTransactionClient, type TransactionHandle } from './transaction-handle.js';
