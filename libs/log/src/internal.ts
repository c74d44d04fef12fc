/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { BatchCollector, headersTogether } from './append/batch-collector.js';
export { KnownTopics } from './append/known-topics.js';
export {
  isSealedRecord,
  type OpenedRecord,
  openMessage,
  openRecord,
  plainRecord,
  readableMessage,
  sealMessage,
  whyUnreadable,
  subjectHash,
} from './cipher/index.js';
export { readSubjectKeys } from './statements.generated.js';
export { subjectKeyIdsOf } from './engine/ready-batch.js';
export { Partitioner } from './append/partitioner.js';
export { assertInRange } from './engine/assert-in-range.js';
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
export { assertTopicName } from './engine/topics.js';
