export { appendCall, type ReadyBatch, sortForAppend, type SynchronousAcks } from './append/append-call.js';
export { type MessageToCollect } from './append/batch-collector.js';
export {
  aesCipher,
  type AesCipherOptions,
  type CipherSecret,
  type Cipher,
  type CipherContext,
  contextBytes,
  type SealedLocation,
  Sealer,
  type SealerOptions,
  type SealOptions,
  type SubjectKey,
} from './cipher/index.js';
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
  type RecordLocation,
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
export { PartitionProgress, type StoredProgress, type Verdict } from './group/partition-progress.js';
export { assignRange, type MemberSubscription } from './group/assign-range.js';
export {
  partitionForKey,
  type BuildOptions,
  RecordBatchBuilder,
  type RecordHeader,
  decodeBatch,
  type DecodeOptions,
  type LogRecord,
} from './record/index.js';
export {
  type OnDeadLetter,
  type OnExpired,
  type Topic,
  type TopicOptions,
  Topics,
  type TopicSettings,
} from './topics.js';
