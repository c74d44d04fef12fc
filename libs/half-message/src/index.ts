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
  type CheckCounts,
  HalfMessageChecker,
  type HalfMessageCheckerOptions,
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
  type PrepareOptions,
  type XactStatusOptions,
} from './half-messages.js';
export { HalfStore } from './half-store.js';
export { type LocalDatabase, LocalDatabases } from './local-database.js';
