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
  writeInt64,
} from './record-batch-format.js';
import { MAX_VARLONG, varintSize, varlongSize, writeVarint, writeVarlong } from './varint.js';

const MAX_BATCH_BYTES = 0x7fffffff;
/** `reset` releases a buffer that a large batch has grown beyond this size. */
const KEPT_BYTES = 1 << 20;
/** The widest varints of a record (length, offset delta, key, value, header count), its attributes and time. */
const RECORD_OVERHEAD_BYTES = 5 * 5 + 1 + 8;
const HEADER_OVERHEAD_BYTES = 2 * 5;

/** A header of a record. A key that is already encoded (UTF-8) saves encoding a well-known name each time. */
export interface RecordHeader {
  readonly key: string | Uint8Array;
  readonly value: Uint8Array | null;
}

/** Fields of the batch header. The defaults are Kafka's for "none". */
export interface BuildOptions {
  /** Default -1n: no idempotent producer. */
  readonly producerId?: bigint;
  /** Default -1. */
  readonly producerEpoch?: number;
  /** Sequence number of the first record, default -1. */
  readonly baseSequence?: number;
  /** Default -1: not yet known, patched by `patchBaseOffset`. */
  readonly leaderEpoch?: number;
  /** Offset of the first record, default 0: patched by `patchBaseOffset`. */
  readonly baseOffset?: number;
}

/** An upper bound, in bytes, of what {@link RecordBatchBuilder.append} adds to a batch for this record. */
export function recordSize(
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: readonly RecordHeader[],
): number {
  let size = RECORD_OVERHEAD_BYTES + (key === null ? 0 : key.length) + (value === null ? 0 : value.length);
  for (const header of headers) {
    size += HEADER_OVERHEAD_BYTES + (header.value === null ? 0 : header.value.length);
    size += typeof header.key === 'string' ? 3 * header.key.length : header.key.length;
  }
  return size;
}

/**
 * Builds one Kafka RecordBatch v2 (uncompressed) in one growing buffer. `append` copies its input
 * immediately; `build` returns a copy; after `reset` the builder and its buffer serve the next batch.
 */
export class RecordBatchBuilder {
  private buffer: Buffer;
  private end = BATCH_HEADER_BYTES;
  private records = 0;
  private firstTimestamp = -1;
  private lastTimestamp = -1;

  /** @param initialBytes size of the first buffer; it doubles when it is full. */
  constructor(private readonly initialBytes = 4096) {
    this.buffer = Buffer.allocUnsafe(Math.max(initialBytes, BATCH_HEADER_BYTES));
  }

  /** Records appended since the last reset. */
  get count(): number {
    return this.records;
  }

  /** Size of the batch if it were built now, in bytes. */
  get byteLength(): number {
    return this.end;
  }

  /** The latest timestamp among the records, in ms since 1970; -1 while there is none. */
  get maxTimestamp(): number {
    return this.lastTimestamp;
  }

  /**
   * Appends a record; a refused one leaves the batch unchanged.
   * @param timestampMs whole milliseconds since 1970; may be before the earlier records'.
   * @throws RangeError for a timestamp that is not an integer or too far from the first one, and for a batch over 2
   *   GiB.
   */
  append(
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[],
  ): void {
    const first = this.records === 0 ? timestampMs : this.firstTimestamp;
    const delta = timestampMs - first;
    if (!Number.isSafeInteger(timestampMs) || Math.abs(delta) > MAX_VARLONG) {
      throw new RangeError(
        `The record's timestamp ${timestampMs} is out of range. Pass whole milliseconds since 1970.`,
      );
    }
    const headersSize = headers.length === 0 ? 1 : sizeOfHeaders(headers);
    const bodySize =
      1 + varlongSize(delta) + varintSize(this.records) + sizeOfBytes(key) + sizeOfBytes(value) + headersSize;
    this.reserve(varintSize(bodySize) + bodySize);

    const buffer = this.buffer;
    let at = writeVarint(buffer, this.end, bodySize);
    buffer[at++] = 0;
    at = writeVarlong(buffer, at, delta);
    at = writeVarint(buffer, at, this.records);
    at = writeBytes(buffer, at, key);
    at = writeBytes(buffer, at, value);
    at = writeVarint(buffer, at, headers.length);
    for (let index = 0; index < headers.length; index++) {
      const header = headers[index] as RecordHeader;
      at =
        typeof header.key === 'string'
          ? writeText(buffer, at, header.key)
          : writeBytes(buffer, at, header.key);
      at = writeBytes(buffer, at, header.value);
    }
    this.end = at;
    this.firstTimestamp = first;
    this.lastTimestamp = this.records === 0 ? timestampMs : Math.max(this.lastTimestamp, timestampMs);
    this.records++;
  }

  /**
   * A copy of the batch, of its exact size. The builder is unchanged.
   * @throws RangeError when there is no record.
   */
  build(options: BuildOptions = {}): Buffer {
    if (this.records === 0) throw new RangeError('The batch has no records. Append one before you build it.');
    const batch = Buffer.allocUnsafe(this.end);
    this.buffer.copy(batch, 0, 0, this.end);
    writeInt64(batch, 0, options.baseOffset ?? 0);
    batch.writeInt32BE(this.end - BATCH_LENGTH_FROM, BATCH_LENGTH_AT);
    batch.writeInt32BE(options.leaderEpoch ?? -1, LEADER_EPOCH_AT);
    batch.writeInt8(MAGIC, MAGIC_AT);
    batch.writeInt16BE(0, ATTRIBUTES_AT);
    batch.writeInt32BE(this.records - 1, LAST_OFFSET_DELTA_AT);
    writeInt64(batch, BASE_TIMESTAMP_AT, this.firstTimestamp);
    writeInt64(batch, MAX_TIMESTAMP_AT, this.lastTimestamp);
    batch.writeBigInt64BE(options.producerId ?? -1n, PRODUCER_ID_AT);
    batch.writeInt16BE(options.producerEpoch ?? -1, PRODUCER_EPOCH_AT);
    batch.writeInt32BE(options.baseSequence ?? -1, BASE_SEQUENCE_AT);
    batch.writeInt32BE(this.records, RECORD_COUNT_AT);
    batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
    return batch;
  }

  /** Discards the records, ready for the next batch. */
  reset(): void {
    if (this.buffer.length > Math.max(this.initialBytes, KEPT_BYTES)) {
      this.buffer = Buffer.allocUnsafe(Math.max(this.initialBytes, BATCH_HEADER_BYTES));
    }
    this.end = BATCH_HEADER_BYTES;
    this.records = 0;
    this.firstTimestamp = -1;
    this.lastTimestamp = -1;
  }

  private reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.buffer.length) return;
    if (needed > MAX_BATCH_BYTES) {
      throw new RangeError(
        `The batch would have ${needed} bytes, over 2 GiB. Build it and append to the next one.`,
      );
    }
    const grown = Buffer.allocUnsafe(Math.min(MAX_BATCH_BYTES, Math.max(needed, 2 * this.buffer.length)));
    this.buffer.copy(grown, 0, 0, this.end);
    this.buffer = grown;
  }
}

function sizeOfBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length;
}

function sizeOfHeaders(headers: readonly RecordHeader[]): number {
  let size = varintSize(headers.length);
  for (let index = 0; index < headers.length; index++) {
    const { key, value } = headers[index] as RecordHeader;
    const keyBytes = typeof key === 'string' ? Buffer.byteLength(key) : key.length;
    size += varintSize(keyBytes) + keyBytes + sizeOfBytes(value);
  }
  return size;
}

function writeBytes(target: Buffer, at: number, bytes: Uint8Array | null): number {
  if (bytes === null) return writeVarint(target, at, -1);
  const from = writeVarint(target, at, bytes.length);
  target.set(bytes, from);
  return from + bytes.length;
}

function writeText(target: Buffer, at: number, text: string): number {
  const from = writeVarint(target, at, Buffer.byteLength(text));
  return from + target.write(text, from);
}
