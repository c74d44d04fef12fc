/** Byte positions of Kafka's RecordBatch v2. The CRC covers everything from `ATTRIBUTES` to the end. */
export const BATCH_LENGTH_AT = 8;
export const LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const RECORD_COUNT_AT = 57;

/** Bytes of a batch before its first record. */
export const BATCH_HEADER_BYTES = 61;

/** Bytes before the part that the field `batchLength` counts. */
export const BATCH_LENGTH_FROM = 12;

/** The only version of the format that is written and read. */
export const MAGIC = 2;

const TWO_32 = 2 ** 32;

/** Writes a safe integer as int64, big endian. */
export function writeInt64(target: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  target.writeInt32BE(high, at);
  target.writeUInt32BE(value - high * TWO_32, at + 4);
}

/** Reads an int64, big endian; exact only if the caller finds a safe integer. */
export function readInt64(source: Buffer, at: number): number {
  return source.readInt32BE(at) * TWO_32 + source.readUInt32BE(at + 4);
}
