export { extendedJson } from './extended-json.js';
export { bytesCodec, type Codec, jsonCodec } from './codec.js';
export { isStorable } from './storable-text.js';
export {
  type CloudEvent,
  type CloudEventCarrier,
  cloudEventOf,
  type CloudEventOptions,
  cloudEventProblems,
} from './contract/cloud-event.js';
export { PayloadContract, SCHEMA_VERSION_HEADER } from './contract/payload-contract.js';
export { PayloadContracts, topicSchemasProblems } from './contract/payload-contracts.js';
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
export {
  outboxBacklog,
  type OutboxBacklog,
  outboxBacklogs,
  outboxSize,
  type TopicBacklog,
} from './relay/outbox-backlog.js';
export { OutboxBacklogWatch } from './relay/outbox-backlog-watch.js';
export {
  OutboxQuarantine,
  type QuarantineBacklog,
  type QuarantinedContent,
  type QuarantinedMessage,
  type QuarantineFilter,
} from './quarantine/outbox-quarantine.js';
export { OutboxRetention, type OutboxRetentionOptions } from './relay/outbox-retention.js';
export { adoptCluster, Relay, type RelayOptions, type RelayDependencies } from './relay/relay.js';
export { type PassTrace, type RelayTrace } from './relay/relay-trace.js';
export { type TimerDelay } from './publish/timer-changes.js';
export {
  drizzleOpener,
  type DrizzleTransaction,
  type DrizzleTransactions,
} from './transactions/drizzle-transaction.js';
export { joinTransaction, type TransactionHandle } from './transactions/join-transaction.js';
export { type JoinedTransaction } from './transactions/joined-transaction.js';
export { knexOpener, type KnexTransaction, type KnexTransactions } from './transactions/knex-transaction.js';
export {
  kyselyOpener,
  type KyselyTransaction,
  type KyselyTransactions,
} from './transactions/kysely-transaction.js';
export {
  type MikroOrmManager,
  mikroOrmOpener,
  type MikroOrmTransactions,
} from './transactions/mikro-orm-transaction.js';
export { OrmTransactionRunner } from './transactions/orm-transaction-runner.js';
export { type PgTransactionClient } from './transactions/pg-transaction.js';
export { type PostgresJsTransaction } from './transactions/postgres-js-transaction.js';
export { type PrismaRawClient, PrismaSession } from './transactions/prisma-session.js';
export { prismaOpener, type PrismaTransactions } from './transactions/prisma-transaction.js';
export { PrismaTransactionRunner } from './transactions/prisma-transaction-runner.js';
export { type TransactionOpener } from './transactions/transaction-opener.js';
export {
  type TypeOrmManager,
  typeOrmOpener,
  type TypeOrmQueryRunner,
  type TypeOrmTransactions,
} from './transactions/typeorm-transaction.js';
