import { CorruptRecordError } from '@waybill/kernel';

const TWO_28 = 2 ** 28;
const TWO_27 = 2 ** 27;

/** The largest magnitude that {@link writeVarlong} takes: its zig-zag form must be an exact double. */
export const MAX_VARLONG = 2 ** 52 - 1;

/** Bytes (1 to 5) of a signed 32-bit integer as zig-zag varint. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  if (zigzag < 0x80) return 1;
  if (zigzag < 0x4000) return 2;
  if (zigzag < 0x200000) return 3;
  return zigzag < TWO_28 ? 4 : 5;
}

/**
 * Writes a signed 32-bit integer as zig-zag varint at `at`; the caller has reserved the space. Returns the next
 * position.
 */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  while (zigzag >= 0x80) {
    target[at++] = (zigzag & 0x7f) | 0x80;
    zigzag >>>= 7;
  }
  target[at] = zigzag;
  return at + 1;
}

/** Bytes (1 to 8) of an integer of magnitude up to {@link MAX_VARLONG} as zig-zag varlong. */
export function varlongSize(value: number): number {
  if (value < TWO_27 && value >= -TWO_27) return varintSize(value);
  let zigzag = value < 0 ? -2 * value - 1 : 2 * value;
  let size = 1;
  for (; zigzag >= 0x80; size++) zigzag = Math.floor(zigzag / 128);
  return size;
}

/**
 * Like {@link writeVarint}, for magnitudes up to {@link MAX_VARLONG}: with doubles, since BigInt costs several times as
 * much.
 */
export function writeVarlong(target: Uint8Array, at: number, value: number): number {
  if (value < TWO_27 && value >= -TWO_27) return writeVarint(target, at, value);
  let zigzag = value < 0 ? -2 * value - 1 : 2 * value;
  while (zigzag >= 0x80) {
    target[at++] = (zigzag % 128) | 0x80;
    zigzag = Math.floor(zigzag / 128);
  }
  target[at] = zigzag;
  return at + 1;
}

/** Reads varints from `bytes`, never past `end`. Every refusal is a {@link CorruptRecordError}. */
export class VarintReader {
  constructor(
    readonly bytes: Buffer,
    /** Position of the next byte. */
    public at: number,
    /** Position after the last byte that may be read. */
    public end: number,
  ) {}

  byte(): number {
    if (this.at >= this.end) {
      throw new CorruptRecordError(
        `The record batch ends in the middle of a field at byte ${this.at}. Fetch it again.`,
      );
    }
    return this.bytes[this.at++] as number;
  }

  /** A zig-zag varint of 32 bits. */
  varint(): number {
    let byte = this.byte();
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let raw = byte & 0x7f;
    for (let shift = 7; shift <= 28; shift += 7) {
      byte = this.byte();
      if (shift === 28 && byte > 0x0f) break;
      raw |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1);
    }
    throw new CorruptRecordError(
      `The varint before byte ${this.at} is wider than 32 bits. Fetch the batch again.`,
    );
  }

  /** A zig-zag varlong whose value is a safe integer. */
  varlong(): number {
    let raw = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.byte();
      raw += (byte & 0x7f) * scale;
      if (raw > Number.MAX_SAFE_INTEGER) break;
      if (byte < 0x80) return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
    }
    throw new CorruptRecordError(
      `The varlong before byte ${this.at} is not a safe integer. Fetch the batch again.`,
    );
  }
}
