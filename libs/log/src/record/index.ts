export { crc32c } from './crc32c.js';
export { murmur2, partitionForKey } from './murmur2.js';
export {
  type BuildOptions,
  RecordBatchBuilder,
  type RecordHeader,
  recordSize,
} from './record-batch-builder.js';
export {
  type BatchHeader,
  checksumOf,
  type Compression,
  decodeBatch,
  type DecodeOptions,
  type LogRecord,
  patchBaseOffset,
  readBatchHeader,
  verifyBatch,
} from './record-batch-reader.js';
export { BATCH_HEADER_BYTES } from './record-batch-format.js';
