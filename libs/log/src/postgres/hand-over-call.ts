import { type BoundStatement, bindStatement } from '@waybill/kernel';
import type { WrappedKey } from '../cipher/index.js';
import type { Appended, ReadyBatch } from '../engine/ready-batch.js';
import type { SourcePass } from '../engine/source-pass.js';
import { appendedTo, handOverPass } from '../statements.generated.js';

/** What the log says of a batch of a pass. */
export interface HandedOver extends Appended {
  /** Whether it had the pass already. */
  readonly already: boolean;
}

/** Where a hand-over has put its batches. */
export interface AppendedTo {
  readonly bucketSeq: number;
  readonly incarnation: number;
}

/** Asks where a hand-over of the same transaction has put its batches. */
export const APPENDED_TO = bindStatement(appendedTo);

/** The statement that appends a pass of an outbox: the last of its transaction, sent together with COMMIT. */
export function handOverCall(
  { serviceId, logEpoch, n, token, tokenBefore }: SourcePass,
  batches: readonly ReadyBatch[],
  keys: readonly WrappedKey[] = [],
): BoundStatement {
  return bindStatement(
    handOverPass,
    serviceId,
    logEpoch,
    n,
    token,
    tokenBefore,
    batches.map((batch) => batch.partitionId),
    batches.map((batch) => batch.recordCount),
    batches.map((batch) => batch.data.length),
    batches.map((batch) => batch.maxTimestampMs),
    batches.length === 1 ? (batches[0] as ReadyBatch).data : Buffer.concat(batches.map(({ data }) => data)),
    keys.map(({ subjectHash }) => subjectHash),
    keys.map(({ id }) => id),
    keys.map(({ wrapped }) => wrapped),
  );
}
