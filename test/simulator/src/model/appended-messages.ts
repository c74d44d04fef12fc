import { decodeBatch } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';

/** A message in the model's log. */
export interface AppendedMessage {
  readonly partitionId: number;
  readonly key: string;
  /** The number by which rules know it. */
  readonly message: number;
}

/** The messages that a call of log_append carries, in order. */
export function appendedMessages(
  partitionIds: readonly number[],
  byteLengths: readonly number[],
  data: Buffer,
): AppendedMessage[] {
  let at = 0;
  return partitionIds.flatMap((partitionId, index) => {
    const bytes = data.subarray(at, at + (byteLengths[index] as number));
    at += bytes.length;
    return decodeBatch(bytes).map(({ key, headers }) => {
      const id = headers.find((header) => header.key === MESSAGE_ID_HEADER)?.value?.toString() ?? '';
      return { partitionId, key: String(key), message: messageOf(id) };
    });
  });
}

/** A message's id in text form, made of its number. */
export function messageIdOf(message: number): string {
  return `00000000-0000-7000-8000-${message.toString(16).padStart(12, '0')}`;
}

function messageOf(id: string): number {
  return Number.parseInt(id.slice(-8), 16);
}
