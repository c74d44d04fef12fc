export {
  type CheckBack,
  type HalfMessageState,
  type HalfMessageVerdict,
  type HalfToCheck,
  type MessagesOfHalf,
  type MessageToCheck,
  type PreparedHalf,
} from './half-message.js';
export {
  ANY_TOPIC,
  type CheckCounts,
  HalfMessageChecker,
  type HalfMessageCheckerOptions,
  type HalfMessageCheckerDependencies,
} from './half-message-checker.js';
export {
  HalfMessageOperations,
  type HalfMessageDetail,
  type HalfMessageFilter,
  type HalfMessageStats,
  type HalfMessageTrouble,
  type HalfMessageSummary,
} from './half-message-operations.js';
export { HalfMessageRetention, type HalfMessageRetentionOptions } from './half-message-retention.js';
export {
  type HalfMessageOptions,
  HalfMessages,
  type HalfMessagesOptions,
  type HalfMessagesDependencies,
  type PrepareOptions,
  type XactStatusOptions,
} from './half-messages.js';
export { HalfStore, type HalfStoreDependencies } from './half-store.js';
export { type LocalDatabase, LocalDatabases } from './local-database.js';
