import { type BoundStatement, bindStatement } from '@waybill/kernel';
import type { SynchronousAcks } from '../engine/log-engine.js';
import { type ReadyBatch, subjectKeyIdsOf } from '../engine/ready-batch.js';
import { appendRecords, copySubjectKeys } from '../statements.generated.js';

/**
 * The statement that appends: the last of its transaction, sent together with COMMIT, so that the locks of
 * the partitions are never held across a network round trip.
 *
 * @param batches sorted by `sortForAppend`
 */
export function appendCall(
  batches: readonly ReadyBatch[],
  producerId: number,
  acks: SynchronousAcks,
): BoundStatement {
  return bindStatement(
    appendRecords,
    batches.map((batch) => batch.partitionId),
    batches.map((batch) => batch.recordCount),
    batches.map((batch) => batch.data.length),
    batches.map((batch) => batch.maxTimestampMs),
    batches.map((batch) => batch.baseSequence),
    batches.length === 1
      ? (batches[0] as ReadyBatch).data
      : Buffer.concat(batches.map((batch) => batch.data)),
    producerId,
    acks === 'all' ? 'on' : 'local',
  );
}

/** The statements that store the keys of subjects that batches need: in the log, from the service's schema in the same database. */
export function keyCalls(batches: readonly ReadyBatch[]): readonly BoundStatement[] {
  const keyIds = subjectKeyIdsOf(batches);
  return keyIds.length === 0 ? [] : [bindStatement(copySubjectKeys, keyIds)];
}
