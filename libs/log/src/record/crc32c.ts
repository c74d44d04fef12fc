import { crc32c as native } from '@node-rs/crc32';

/**
 * CRC-32C (Castagnoli) of `bytes` as an unsigned 32-bit number. It is not the CRC-32 of `node:zlib`,
 * which has a different polynomial.
 */
export function crc32c(bytes: Uint8Array): number {
  return native(bytes);
}
