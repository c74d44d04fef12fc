export { bytesCodec, type Codec, jsonCodec } from './codec.js';
export { type Message, MESSAGE_ID_HEADER, RESERVED_HEADER_PREFIX } from './message.js';
export { Outbox, type OutboxOptions, type Published } from './outbox.js';
export { outboxBacklog, type OutboxBacklog } from './outbox-backlog.js';
export { OutboxRetention, type OutboxRetentionOptions } from './outbox-retention.js';
export { type PrismaRawClient, PrismaSession } from './prisma-session.js';
export { PrismaTransactionRunner, type PrismaTransactions } from './prisma-transactions.js';
export { adoptCluster, Relay, type RelayOptions } from './relay.js';
export { type PgTransactionClient, type TransactionHandle } from './transaction-handle.js';
