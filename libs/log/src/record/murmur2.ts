const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;

/**
 * Kafka's murmur2 of `key`, as a signed 32-bit number. Equal to the default hash of the Java client, kafkajs
 * and confluent's clients, so that moving a topic to Kafka moves no key to another partition.
 */
export function murmur2(key: Uint8Array): number {
  const length = key.length;
  const tail = length & ~3;
  let hash = SEED ^ length;
  for (let at = 0; at < tail; at += 4) {
    let word =
      byteAt(key, at) |
      (byteAt(key, at + 1) << 8) |
      (byteAt(key, at + 2) << 16) |
      (byteAt(key, at + 3) << 24);
    word = Math.imul(word, MULTIPLIER);
    word ^= word >>> 24;
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER);
  }
  const rest = length - tail;
  if (rest === 3) hash ^= byteAt(key, tail + 2) << 16;
  if (rest >= 2) hash ^= byteAt(key, tail + 1) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ byteAt(key, tail), MULTIPLIER);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, MULTIPLIER);
  return hash ^ (hash >>> 15);
}

/**
 * The partition (from 0) of `key`, out of `partitions`.
 * @throws RangeError when `partitions` is not a positive integer.
 */
export function partitionForKey(key: Uint8Array, partitions: number): number {
  if (!Number.isSafeInteger(partitions) || partitions < 1) {
    throw new RangeError(`A key cannot be assigned to ${partitions} partitions. Pass a positive integer.`);
  }
  return (murmur2(key) & 0x7fffffff) % partitions;
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}
