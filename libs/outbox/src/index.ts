export { extendedJson } from './extended-json.js';
export { bytesCodec, type Codec, jsonCodec } from './codec.js';
export {
  type CloudEvent,
  type CloudEventCarrier,
  cloudEventOf,
  type CloudEventOptions,
} from './contract/cloud-event.js';
export { PayloadContract } from './contract/payload-contract.js';
export { PayloadContracts } from './contract/payload-contracts.js';
export { type StandardSchemaV1 } from './contract/standard-schema.js';
export {
  type GivenTopicSchema,
  type PayloadInputOf,
  type PayloadOf,
  type TopicSchema,
  type TopicSchemas,
  type Upcaster,
} from './contract/topic-schema.js';
export type { ControlMessage, Message, MessageTimes } from './message.js';
export type { EncodedMessage, EncodeOptions, TraceHeaders } from './publish/encode-message.js';
export { MessageSignatures, type SigningKey, type SigningOptions } from './publish/message-signatures.js';
export { Outbox, type OutboxOptions, type Published } from './publish/outbox.js';
export {
  OutboxTransactions,
  type OutboxTransactionsOptions,
  type TransactionOutbox,
} from './publish/outbox-transactions.js';
export { outboxBacklog, type OutboxBacklog } from './relay/outbox-backlog.js';
export { OutboxRetention, type OutboxRetentionOptions } from './relay/outbox-retention.js';
export { type LostPasses } from './relay/lost-passes.js';
export { type Disagreement, findDisagreement, reconcile } from './relay/reconcile.js';
export { Relay, type RelayOptions } from './relay/relay.js';
export { type TimerDelay } from './publish/timer-changes.js';
export { type DrizzleTransaction, type DrizzleTransactions } from './transactions/drizzle-transaction.js';
export { joinTransaction, type TransactionHandle } from './transactions/join-transaction.js';
export { type JoinedTransaction } from './transactions/joined-transaction.js';
export { type KnexTransaction, type KnexTransactions } from './transactions/knex-transaction.js';
export { type KyselyTransaction, type KyselyTransactions } from './transactions/kysely-transaction.js';
export { type MikroOrmManager, type MikroOrmTransactions } from './transactions/mikro-orm-transaction.js';
export { OrmTransactionRunner } from './transactions/orm-transaction-runner.js';
export { type PgTransactionClient } from './transactions/pg-transaction.js';
export { type PostgresJsTransaction } from './transactions/postgres-js-transaction.js';
export { type PrismaRawClient } from './transactions/prisma-session.js';
export { prismaOpener, type PrismaTransactions } from './transactions/prisma-transaction.js';
export { type TransactionOpener } from './transactions/transaction-opener.js';
export {
  type TypeOrmManager,
  typeOrmOpener,
  type TypeOrmQueryRunner,
  type TypeOrmTransactions,
} from './transactions/typeorm-transaction.js';
