/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { isStorable } from './is-storable.js';
export { cloudEventProblems } from './contract/cloud-event.js';
export { SCHEMA_VERSION_HEADER } from './contract/payload-contract.js';
export { topicSchemasProblems } from './contract/payload-contracts.js';
export { outboxBacklogs, outboxSize, type TopicBacklog } from './relay/outbox-backlog.js';
export { oldestOutboxRow, quarantineBacklogs, relayState } from './statements.generated.js';
export { lostPasses } from './relay/lost-passes.js';
export { OutboxBacklogWatch } from './relay/outbox-backlog-watch.js';
export {
  OutboxQuarantine,
  type QuarantineBacklog,
  type QuarantinedContent,
  type QuarantinedMessage,
  type QuarantineFilter,
} from './quarantine/outbox-quarantine.js';
export { type PassTrace, type RelayTrace } from './relay/relay-trace.js';
export { drizzleOpener } from './transactions/drizzle-transaction.js';
export { knexOpener } from './transactions/knex-transaction.js';
export { kyselyOpener } from './transactions/kysely-transaction.js';
export { mikroOrmOpener } from './transactions/mikro-orm-transaction.js';
export { PrismaTransactionRunner } from './transactions/prisma-transaction-runner.js';
