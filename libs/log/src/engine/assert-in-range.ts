import { OffsetOutOfRangeError } from '@waybill/kernel';
import type { FetchPosition, PartitionOffsets } from './log-engine.js';
import type { Topics } from './topics.js';

/**
 * Checks that a position can be read from.
 * @throws OffsetOutOfRangeError
 */
export function assertInRange(
  topics: Pick<Topics, 'locate'>,
  position: FetchPosition,
  { startOffset, endOffset }: PartitionOffsets,
): void {
  if (position.offset >= startOffset && position.offset <= endOffset) return;
  const location = topics.locate(position.partitionId) ?? { topic: '?', number: position.partitionId };
  throw new OffsetOutOfRangeError(location.topic, location.number, position.offset, startOffset, endOffset);
}
