import {
  isId,
  MessageInvalidError,
  MessageTooLargeError,
  newId,
  PayloadNotSerializableError,
} from '@waybill/kernel';
import { assertTopicName, EXPIRES_AT_HEADER, RESERVED_HEADER_PREFIX } from '@waybill/log';
import { type Codec, jsonCodec } from './codec.js';
import { checkTimes, type MessageTimes, type TimesToResolve } from './message-times.js';
import { isStorable } from './storable-text.js';

/** A message to publish. */
export interface Message<T = unknown> extends MessageTimes {
  readonly topic: string;
  /** Messages of one key are delivered in commit order. Without one a message may go to any partition. */
  readonly key?: string | null;
  /** Anything the topic's codec takes: by default, any JSON value. */
  readonly payload: T;
  /** Up to 64, 16 KiB in all; names beginning with `waybill-` are Waybill's own. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: a new UUIDv7. */
  readonly id?: string;
  /** Default: chosen by the key. */
  readonly partition?: number;
}

/** A message that has been checked and encoded, ready for its row. */
export interface EncodedMessage {
  readonly id: string;
  readonly topic: string;
  readonly key: string | null;
  readonly partition: number | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly payload: Buffer;
  /** What the database has to work out when it is written; null for a message that is delivered at once. */
  readonly times: TimesToResolve | null;
}

/** Limits and codecs by which messages are checked. */
export interface MessageRules {
  readonly maxMessageBytes: number;
  readonly codecs: Readonly<Record<string, Codec>>;
  readonly traceHeaders: () => Readonly<Record<string, string>>;
}

const MAX_HEADERS = 64;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_KEY_BYTES = 4 * 1024;

/**
 * Checks a message against every limit and encodes its payload.
 *
 * @throws TopicNameInvalidError, MessageInvalidError, MessageTooLargeError, PayloadNotSerializableError
 */
export function encodeMessage(message: Message, rules: MessageRules): EncodedMessage {
  assertTopicName(message.topic);
  const { topic } = message;
  const id = message.id ?? newId();
  const refuse = (problem: string): never => {
    throw new MessageInvalidError(String(id), topic, problem);
  };
  if (typeof id !== 'string' || !isId(id)) refuse('its id is no UUID');
  const key = message.key ?? null;
  if (key !== null) checkKey(key, refuse);
  const partition = message.partition ?? null;
  if (partition !== null && (!Number.isSafeInteger(partition) || partition < 0 || partition > 4095)) {
    refuse(`its partition must be a whole number from 0 to 4095, got ${String(partition)}`);
  }
  const { times, expiresAtMs } = checkTimes(message, refuse);
  const codec = rules.codecs[topic] ?? jsonCodec;
  let headers = collectHeaders(message, codec, rules, refuse);
  if (expiresAtMs !== null) headers = { ...headers, [EXPIRES_AT_HEADER]: String(expiresAtMs) };
  const payload = encodePayload(message.payload, codec, id, topic);
  const bytes = payload.length + Buffer.byteLength(key ?? '') + headerBytes(headers ?? {});
  if (bytes > rules.maxMessageBytes) throw new MessageTooLargeError(id, topic, bytes, rules.maxMessageBytes);
  return { id, topic, key, partition, headers, payload, times };
}

function checkKey(key: string, refuse: (problem: string) => never): void {
  if (typeof key !== 'string') refuse(`its key must be a text, got ${typeof key}`);
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) refuse(`its key is longer than ${MAX_KEY_BYTES} bytes`);
  if (!isStorable(key)) refuse('its key has characters that cannot be stored');
}

function collectHeaders(
  message: Message,
  codec: Codec,
  rules: MessageRules,
  refuse: (problem: string) => never,
): Record<string, string> | null {
  // An object without a prototype: a header named __proto__ is a header like any other.
  const headers = Object.create(null) as Record<string, string>;
  if (codec !== jsonCodec) headers['content-type'] = codec.contentType;
  for (const [name, value] of Object.entries(rules.traceHeaders())) headers[name] = value;
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    if (!/^[\x21-\x7e]{1,256}$/.test(name)) refuse('a header name must be 1 to 256 visible ASCII characters');
    if (name.toLowerCase().startsWith(RESERVED_HEADER_PREFIX)) {
      refuse(`header ${name} begins with ${RESERVED_HEADER_PREFIX}, which is reserved`);
    }
    if (typeof value !== 'string') refuse(`header ${name} must be a text, got ${typeof value}`);
    if (/\p{Cc}/u.test(value.replaceAll('\t', '')) || !isStorable(value))
      refuse(`header ${name} has control characters`);
    headers[name] = value;
  }
  const count = Object.keys(headers).length;
  if (count > MAX_HEADERS) refuse(`it has ${count} headers, the limit is ${MAX_HEADERS}`);
  const bytes = headerBytes(headers);
  if (bytes > MAX_HEADER_BYTES) refuse(`its headers have ${bytes} bytes, the limit is ${MAX_HEADER_BYTES}`);
  return count === 0 ? null : headers;
}

function headerBytes(headers: Readonly<Record<string, string>>): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}

function encodePayload(payload: unknown, codec: Codec, id: string, topic: string): Buffer {
  try {
    const bytes = codec.encode(payload);
    return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    const problem = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new PayloadNotSerializableError(id, topic, problem ?? 'unknown', { cause: error });
  }
}
