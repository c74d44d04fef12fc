export { assignRange, type MemberSubscription } from './engine/assign-range.js';
export {
  LogAppender,
  type LogAppenderOptions,
  type RecordLocation,
  type RecordToAppend,
} from './append/log-appender.js';
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
  type FoundKey,
  type LogSubjectKeys,
  type WrappedKey,
} from './cipher/index.js';
export {
  type AppendOptions,
  type AppendStatements,
  type Fetched,
  type FetchedBatch,
  type FetchLimits,
  type FetchPosition,
  type HandOvers,
  type HandOverWithin,
  type LogEngine,
  type LogHistory,
  type LogIdentity,
  type PartitionOffsets,
  type SynchronousAcks,
} from './engine/log-engine.js';
export { WorkNotes } from './engine/work-notes.js';
export { type LogNotes, type LogSignals, type NoteListener, type Signal } from './engine/log-signals.js';
export {
  type Grant,
  type Membership,
  type MembershipListener,
  type MembershipOptions,
  type ReportedPosition,
  type TakenPartition,
} from './engine/membership.js';
export { TopicRefresh } from './engine/topic-refresh.js';
export { bindService, type ServiceBinding } from './engine/service-binding.js';
export { type LoggedPass, type SourcePass, type SourceState } from './engine/source-pass.js';
export { type MessageSink } from './sink/message-sink.js';
export { type SinkDependencies, sinkFor } from './sink/sink-for.js';
export { type Appended, type ReadyBatch, sortForAppend } from './engine/ready-batch.js';
export {
  type NewTopic,
  type OnDeadLetter,
  type OnExpired,
  type PartitionRow,
  type Topic,
  type TopicListener,
  type TopicOptions,
  Topics,
  type TopicSettings,
  type TopicStore,
} from './engine/topics.js';
export {
  partitionForKey,
  type BuildOptions,
  RecordBatchBuilder,
  type RecordHeader,
  decodeBatch,
  type DecodeOptions,
  type LogRecord,
} from './record/index.js';
