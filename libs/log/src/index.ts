export {
  appendCall,
  type Appended,
  type ReadyBatch,
  sortForAppend,
  type SynchronousAcks,
} from './append/append-call.js';
export { BatchCollector, headersTogether, type MessageToCollect } from './append/batch-collector.js';
export * from './cipher/index.js';
export { groupLag, oldestBucketSeq, type PartitionLag } from './group/group-lag.js';
export {
  GroupMembership,
  type GroupMembershipOptions,
  type MembershipListener,
  type Ownership,
} from './group/group-membership.js';
export {
  LogAppender,
  type LogAppenderOptions,
  type RecordPlace,
  type RecordToAppend,
} from './append/log-appender.js';
export {
  type Fetched,
  type FetchedBatch,
  type FetchPosition,
  LogReader,
  type PartitionOffsets,
} from './read/log-reader.js';
export { LogRetention, type LogRetentionOptions } from './log-retention.js';
export { LogSignals, type Signal } from './signal/log-signals.js';
export { Partitioner } from './append/partitioner.js';
export {
  advanceTogether,
  type FirstPosition,
  loadProgress,
  PartitionProgress,
  type StoredProgress,
  type Verdict,
} from './group/partition-progress.js';
export { assignRange, type MemberSubscription } from './group/range-assignor.js';
export * from './record/index.js';
export {
  CAUSE_ID_HEADER,
  EXPIRES_AT_HEADER,
  isControlHeader,
  MESSAGE_ID_HEADER,
  RESERVED_HEADER_PREFIX,
  SIGNATURE_HEADER,
} from './record/record-headers.js';
export { blamesMessage, learnsOfTopics, type Rejection, rejectionOf } from './rejection.js';
export { Rejections } from './rejections.js';
export {
  assertTopicName,
  type OnDeadLetter,
  type OnExpired,
  type Topic,
  type TopicOptions,
  Topics,
  type TopicSettings,
} from './topics.js';
export {
  describeMembers,
  groupBacklogs,
  listGroups,
  oldestTransaction,
  unsubscribedTopics,
  newToGroup,
} from './statements.generated.js';
