export {
  appendCall,
  type Appended,
  type ReadyBatch,
  sortForAppend,
  type SynchronousAcks,
} from './append-call.js';
export { groupLag, oldestBucketSeq, type PartitionLag } from './group-lag.js';
export {
  GroupMembership,
  type GroupMembershipOptions,
  type MembershipListener,
  type Ownership,
} from './group-membership.js';
export {
  LogAppender,
  type LogAppenderOptions,
  type RecordPlace,
  type RecordToAppend,
} from './log-appender.js';
export { type FetchedBatch, type FetchPosition, LogReader, type PartitionOffsets } from './log-reader.js';
export { LogRetention, type LogRetentionOptions } from './log-retention.js';
export { LogSignals, type Signal } from './log-signals.js';
export { Partitioner } from './partitioner.js';
export { PartitionProgress, type StoredProgress, type Verdict } from './positions.js';
export { assignRange, type MemberSubscription } from './range-assignor.js';
export * from './record/index.js';
export { assertTopicName, type Topic, type TopicOptions, Topics } from './topics.js';
