/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { isHttpRefusal } from './retry/decide-retry.js';
export { readRemoteError, remoteErrorOf } from './reply/remote-error.js';
export {
  assertReplyTopic,
  REPLY_ERROR_HEADER,
  REPLY_KEY_HEADER,
  REPLY_STATUS_HEADER,
  REPLY_TO_HEADER,
  reasonOf,
  replyHeaders,
  replyStatus,
  replyTopicOf,
  REQUEST_ID_HEADER,
} from './reply/reply.js';
export { listRedriven, parkedBacklogs, readAllPositions, readOwnEpochs } from './statements.generated.js';
export { droppedBy, failureIn } from './handler/batch.js';
export { isTopicPattern, TopicPatterns } from './handler/topic-pattern.js';
export { resolveRetryPolicy, retryDelayMs } from './policy/retry-policy.js';
export { PostgresBudgetStore, RedisBudgetStore } from './policy/retry-budget-store.js';
export { type LaneContext } from './retry/lane-context.js';
export { ConsumerCounters } from './retry/consumer-counters.js';
export { differencesFrom } from './lane/log-check.js';
export { LaneOpener } from './lane/lane-opener.js';
export { OwnedPartitions } from './lane/owned-partitions.js';
export { loadProgress } from './progress/partition-progress.js';
export { ProgressOwners } from './progress/progress-owners.js';
export { Permits } from './delivery/permits.js';
