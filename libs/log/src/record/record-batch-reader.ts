import { CorruptRecordError } from '@waybill/kernel';
import { crc32c } from './crc32c.js';
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  BATCH_LENGTH_FROM,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  MAGIC,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  readInt64,
  writeInt64,
} from './record-batch-format.js';
import { VarintReader } from './varint.js';

const COMPRESSION = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
/** Length, attributes, time, offset, key, value and header count, each in its shortest form. */
const SMALLEST_RECORD_BYTES = 7;

/** The compression codec of a batch's records. */
export type Compression = (typeof COMPRESSION)[number];

/** The header of a record batch. */
export interface BatchHeader {
  /** Size of the whole batch including this header, in bytes: the next one begins there. */
  readonly byteLength: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly crc: number;
  readonly compression: Compression;
  /** `append` when every record counts as written at `maxTimestampMs`. */
  readonly timestampType: 'create' | 'append';
  readonly transactional: boolean;
  /** A transaction's end marker: holds no messages. */
  readonly control: boolean;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/** A record as it was appended. The buffers are views into the batch: copy what must outlive it. */
export interface LogRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}

/** Options of {@link decodeBatch}. */
export interface DecodeOptions {
  /** Byte at which the batch begins, default 0. */
  readonly at?: number;
  /** Records before this offset are left out, default none: a fetch returns the whole batch around an offset. */
  readonly fromOffset?: number;
  /** Maximum number of records that are returned, default all: the bytes behind them are not looked at. */
  readonly most?: number;
  /** Whether the CRC is computed first, default true. Pass false only for bytes that `verifyBatch` has seen. */
  readonly verify?: boolean;
}

/**
 * Reads the header of the batch at byte `at` (default 0); the records need not be there.
 * @throws CorruptRecordError when it is not a RecordBatch v2 or its numbers are impossible.
 */
export function readBatchHeader(buffer: Buffer, at = 0): BatchHeader {
  const available = buffer.length - at;
  if (available < BATCH_HEADER_BYTES) {
    throw new CorruptRecordError(
      `A record batch needs ${BATCH_HEADER_BYTES} bytes of header and has ${available}. Fetch it again.`,
    );
  }
  const magic = buffer.readInt8(at + MAGIC_AT);
  if (magic !== MAGIC) {
    throw new CorruptRecordError(
      `The batch has format version ${magic}. Only RecordBatch v${MAGIC} can be read.`,
    );
  }
  const byteLength = buffer.readInt32BE(at + BATCH_LENGTH_AT) + BATCH_LENGTH_FROM;
  const recordCount = buffer.readInt32BE(at + RECORD_COUNT_AT);
  const lastOffsetDelta = buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT);
  const attributes = buffer.readInt16BE(at + ATTRIBUTES_AT);
  const compression = COMPRESSION[attributes & 7];
  if (
    compression === undefined ||
    byteLength < BATCH_HEADER_BYTES ||
    recordCount < 0 ||
    lastOffsetDelta < 0
  ) {
    throw new CorruptRecordError(
      `The batch header is invalid: ${byteLength} bytes, ${recordCount} records, last offset delta ` +
        `${lastOffsetDelta}, attributes ${attributes}. Fetch the batch again.`,
    );
  }
  const baseOffset = safeInt64(buffer, at, 'base offset');
  if (baseOffset < 0 || !Number.isSafeInteger(baseOffset + lastOffsetDelta)) {
    throw new CorruptRecordError(`The batch begins at the impossible offset ${baseOffset}. Fetch it again.`);
  }
  return {
    byteLength,
    baseOffset,
    lastOffset: baseOffset + lastOffsetDelta,
    leaderEpoch: buffer.readInt32BE(at + LEADER_EPOCH_AT),
    crc: buffer.readUInt32BE(at + CRC_AT),
    compression,
    timestampType: (attributes & 8) === 0 ? 'create' : 'append',
    transactional: (attributes & 16) !== 0,
    control: (attributes & 32) !== 0,
    baseTimestampMs: safeInt64(buffer, at + BASE_TIMESTAMP_AT, 'base timestamp'),
    maxTimestampMs: safeInt64(buffer, at + MAX_TIMESTAMP_AT, 'max timestamp'),
    producerId: buffer.readBigInt64BE(at + PRODUCER_ID_AT),
    producerEpoch: buffer.readInt16BE(at + PRODUCER_EPOCH_AT),
    baseSequence: buffer.readInt32BE(at + BASE_SEQUENCE_AT),
    recordCount,
  };
}

/** The CRC of a batch, as its header says; 0 for bytes that are too short to have one. It does not cover the base offset. */
export function checksumOf(batch: Buffer): number {
  return batch.length < ATTRIBUTES_AT ? 0 : batch.readUInt32BE(CRC_AT);
}

/**
 * Checks that the batch at byte `at` is complete and that its CRC-32C is correct; returns its header.
 * @throws CorruptRecordError when it is not.
 */
export function verifyBatch(buffer: Buffer, at = 0): BatchHeader {
  const header = readBatchHeader(buffer, at);
  requireWhole(buffer, at, header);
  const computed = crc32c(buffer.subarray(at + ATTRIBUTES_AT, at + header.byteLength));
  if (computed !== header.crc) {
    throw new CorruptRecordError(
      `The batch at offset ${header.baseOffset} has CRC ${hex(computed)}, but its header says ${hex(header.crc)}. ` +
        'Its bytes have changed since it was written: fetch it again; if that fails, restore it.',
    );
  }
  return header;
}

/**
 * The records of the batch, in order of offset.
 * @throws CorruptRecordError for anything that is not a complete, uncompressed batch of messages.
 */
export function decodeBatch(buffer: Buffer, options: DecodeOptions = {}): LogRecord[] {
  const { at = 0, fromOffset = 0, most = Infinity, verify = true } = options;
  const header = verify ? verifyBatch(buffer, at) : readBatchHeader(buffer, at);
  if (!verify) requireWhole(buffer, at, header);
  requireReadable(header);

  const end = at + header.byteLength;
  const reader = new VarintReader(buffer, at + BATCH_HEADER_BYTES, end);
  const records: LogRecord[] = [];
  let lastDelta = -1;
  for (let index = 0; index < header.recordCount; index++) {
    const length = reader.varint();
    const recordEnd = reader.at + length;
    if (length < SMALLEST_RECORD_BYTES - 1 || recordEnd > end) throw impossibleRecord(header, index);
    reader.at++;
    reader.end = recordEnd;
    const timestampDelta = reader.varlong();
    const offsetDelta = reader.varint();
    const offset = header.baseOffset + offsetDelta;
    const created = header.baseTimestampMs + timestampDelta;
    if (offsetDelta <= lastDelta || offset > header.lastOffset || !Number.isSafeInteger(created)) {
      throw impossibleRecord(header, index);
    }
    lastDelta = offsetDelta;
    if (offset >= fromOffset) {
      const timestampMs = header.timestampType === 'append' ? header.maxTimestampMs : created;
      records.push(readRecord(reader, offset, timestampMs));
      if (reader.at !== recordEnd) throw impossibleRecord(header, index);
      if (records.length === most) return records;
    }
    reader.at = recordEnd;
    reader.end = end;
  }
  if (reader.at !== end) {
    throw new CorruptRecordError(
      `The batch at offset ${header.baseOffset} has ${end - reader.at} bytes after its last record. Fetch it again.`,
    );
  }
  return records;
}

/** Sets the log offset of the batch at the start of `buffer`. The CRC does not cover these fields. */
export function patchBaseOffset(buffer: Buffer, baseOffset: number, leaderEpoch: number): void {
  if (!Number.isSafeInteger(baseOffset) || baseOffset < 0) {
    throw new RangeError(`${baseOffset} cannot be the base offset of a batch. Pass a safe integer from 0.`);
  }
  writeInt64(buffer, 0, baseOffset);
  buffer.writeInt32BE(leaderEpoch, LEADER_EPOCH_AT);
}

function readRecord(reader: VarintReader, offset: number, timestampMs: number): LogRecord {
  const key = readBytes(reader);
  const value = readBytes(reader);
  const headerCount = reader.varint();
  // A header has at least two bytes: an impossible count must not make the loop run for minutes.
  if (headerCount < 0 || headerCount * 2 > reader.end - reader.at) {
    throw new CorruptRecordError(
      `The record at offset ${offset} has ${headerCount} headers. Fetch it again.`,
    );
  }
  const headers: { key: string; value: Buffer | null }[] = [];
  for (let index = 0; index < headerCount; index++) {
    const length = reader.varint();
    const from = reader.at;
    if (length < 0 || length > reader.end - from) throw tooLong(length, reader);
    reader.at = from + length;
    headers.push({ key: reader.bytes.toString('utf8', from, reader.at), value: readBytes(reader) });
  }
  return { offset, timestampMs, key, value, headers };
}

function readBytes(reader: VarintReader): Buffer | null {
  const length = reader.varint();
  if (length === -1) return null;
  const from = reader.at;
  if (length < 0 || length > reader.end - from) throw tooLong(length, reader);
  reader.at = from + length;
  return reader.bytes.subarray(from, reader.at);
}

function requireWhole(buffer: Buffer, at: number, header: BatchHeader): void {
  const available = buffer.length - at;
  if (header.byteLength > available) {
    throw new CorruptRecordError(
      `The batch at offset ${header.baseOffset} has ${available} of its ${header.byteLength} bytes. Fetch it again.`,
    );
  }
}

function requireReadable(header: BatchHeader): void {
  if (header.compression !== 'none') {
    throw new CorruptRecordError(
      `The batch at offset ${header.baseOffset} is compressed with ${header.compression}, which this version ` +
        'cannot read. Write it without compression.',
    );
  }
  if (header.control) {
    throw new CorruptRecordError(
      `The batch at offset ${header.baseOffset} is a control batch and holds no messages. Skip it.`,
    );
  }
  if (header.recordCount * SMALLEST_RECORD_BYTES > header.byteLength - BATCH_HEADER_BYTES) {
    throw new CorruptRecordError(
      `The batch at offset ${header.baseOffset} cannot hold ${header.recordCount} records in ` +
        `${header.byteLength} bytes. Fetch it again.`,
    );
  }
}

function safeInt64(buffer: Buffer, at: number, name: string): number {
  const value = readInt64(buffer, at);
  if (!Number.isSafeInteger(value)) {
    throw new CorruptRecordError(`The batch's ${name} is not a safe integer. Fetch the batch again.`);
  }
  return value;
}

function impossibleRecord(header: BatchHeader, index: number): CorruptRecordError {
  return new CorruptRecordError(
    `Record ${index} of the batch at offset ${header.baseOffset} has an impossible length, offset or time. Fetch it again.`,
  );
}

function tooLong(length: number, reader: VarintReader): CorruptRecordError {
  return new CorruptRecordError(
    `A field of ${length} bytes does not fit before byte ${reader.end} of the batch. Fetch the batch again.`,
  );
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
