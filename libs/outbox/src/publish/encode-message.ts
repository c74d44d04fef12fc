import { types } from 'node:util';
import {
  type BoundStatement,
  isId,
  MessageInvalidError,
  MessageTooLargeError,
  newId,
  PayloadNotSerializableError,
} from '@waybill/kernel';
import { describeThrown, dictionary, isPlainObject, own, show } from '@waybill/kernel/internal';
import { Sealer } from '@waybill/log';
import { assertTopicName, RESERVED_HEADER_PREFIX, sealMessage } from '@waybill/log/internal';
import { type Codec, jsonCodec } from '../codec.js';
import { cloudEventHeaders, type CloudEventOptions } from '../contract/cloud-event.js';
import { type PayloadContract, SCHEMA_VERSION_HEADER } from '../contract/payload-contract.js';
import type { PayloadContracts } from '../contract/payload-contracts.js';
import type { MessageSignatures } from './message-signatures.js';
import { checkTimes, type TimesToResolve } from './message-times.js';
import { isStorable } from '../is-storable.js';
import type { ControlMessage, Message } from '../message.js';

/** A checked and encoded message, ready for its row. */
export interface EncodedMessage {
  readonly id: string;
  readonly topic: string;
  readonly key: string | null;
  readonly partition: number | null;
  readonly headers: Readonly<Record<string, string>> | null;
  /** Control headers; null for messages of users. */
  readonly control: Readonly<Record<string, string>> | null;
  /** When it expires, in milliseconds since 1970, if known without the database. */
  readonly expiresAtMs: number | null;
  /** Null if messages are not signed. */
  readonly signature: string | null;
  readonly payload: Buffer;
  /** Stores the key of its subject, in the transaction that writes it; null if it has none. */
  readonly keepSubject: BoundStatement | null;
  /** Times that the database computes when it is written; null for a message that is delivered immediately. */
  readonly times: TimesToResolve | null;
}

/**
 * Headers of the current trace (`traceparent`, `tracestate`, `baggage`) for a published message. Called once per
 * message.
 */
export type TraceHeaders = (
  message: Pick<ControlMessage, 'topic' | 'partition'> & Partial<Pick<ControlMessage, 'control'>>,
  id: string,
) => Readonly<Record<string, string>>;

/** Limits, codecs and schemas that messages are checked against. */
export interface MessageRules {
  readonly maxMessageBytes: number;
  readonly codecs: Readonly<Record<string, Codec>>;
  readonly contracts?: Pick<PayloadContracts, 'find'> | undefined;
  /** Publishes every message as a CloudEvent. */
  readonly cloudEvents?: CloudEventOptions | undefined;
  readonly traceHeaders: TraceHeaders;
  /** Signs messages. Default: they are not signed. */
  readonly signatures?: MessageSignatures | undefined;
  /** Encrypts messages. Default: they are not encrypted. */
  readonly sealer?: Sealer | undefined;
}

const MAX_HEADERS = 64;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_KEY_BYTES = 4 * 1024;
const MAX_SUBJECT_CHARS = 256;

/** Options for encoding one message. */
export interface EncodeOptions {
  /** Whether it is a template for many messages, which get their own ids and times. Default false. */
  readonly isTemplate?: boolean;
  /** See {@link ControlMessage}. Default: none. */
  readonly control?: Readonly<Record<string, string>>;
  /** See {@link ControlMessage}. Default: whether there is no `control`. */
  readonly hasUserKey?: boolean;
}

/** Headers that Waybill itself sets. */
interface OwnHeaders {
  /** Headers that the message may override. */
  readonly byDefault: Readonly<Record<string, string>>;
  readonly contract: PayloadContract | undefined;
}

/**
 * Checks a message against every limit and the schema of its topic, and encodes its payload.
 *
 * @throws TopicNameInvalidError, MessageInvalidError, MessageTooLargeError, PayloadNotSerializableError,
 *   PayloadInvalidError
 */
export function encodeMessage(
  message: Message,
  rules: MessageRules,
  { isTemplate = false, control, hasUserKey = control === undefined }: EncodeOptions = {},
): EncodedMessage {
  assertTopicName(message.topic);
  const { topic } = message;
  const id = message.id ?? newId();
  const refuse = (problem: string): never => {
    throw new MessageInvalidError(typeof id === 'string' ? id : show(id), topic, problem);
  };
  if (typeof id !== 'string' || !isId(id)) refuse('its id is not a UUID');
  const key = message.key ?? null;
  if (key !== null) checkKey(key, refuse);
  const partition = message.partition ?? null;
  if (partition !== null && (!Number.isSafeInteger(partition) || partition < 0 || partition > 4095)) {
    refuse(`its partition must be a whole number from 0 to 4095, got ${show(partition)}`);
  }
  if (message.headers !== undefined && !isPlainObject(message.headers))
    refuse(`its headers must be an object of names and strings, got ${show(message.headers)}`);
  const sealer = rules.sealer ?? Sealer.none;
  const subject = checkSubject(message.subject ?? null, sealer, refuse);
  const { times, expiresAtMs } = checkTimes(message, refuse);
  const codec = own(rules.codecs, topic) ?? jsonCodec;
  const contract = rules.contracts?.find(topic);
  const payload = encodePayload(message.payload, codec, id, topic);
  contract?.assertFits(readBack(payload, codec, id, topic), `message ${id} to topic ${topic}`);
  const byDefault = {
    ...contentHeaders(message, isTemplate ? undefined : id, codec, rules, refuse),
    ...rules.traceHeaders(control === undefined ? message : { ...message, control }, id),
  };
  const headers = collectHeaders(message, { byDefault, contract }, refuse);
  const bytes = payload.length + Buffer.byteLength(key ?? '') + headerBytes(headers ?? {});
  if (bytes > rules.maxMessageBytes) throw new MessageTooLargeError(id, topic, bytes, rules.maxMessageBytes);
  const sealed = sealMessage(
    sealer,
    { id, topic, key, headers, payload },
    { subject, isTemplate, hasUserKey },
  );
  const { subjectKey, ...stored } = sealed;
  const content = { id, topic, ...stored, control: control ?? null };
  const signature = rules.signatures?.sign(content, isTemplate) ?? null;
  return { ...content, partition, expiresAtMs, signature, times, keepSubject: subjectKey?.keep ?? null };
}

function checkSubject(
  subject: string | null,
  sealer: Sealer,
  refuse: (problem: string) => never,
): string | null {
  if (subject === null) return null;
  if (typeof subject !== 'string' || subject === '' || subject.length > MAX_SUBJECT_CHARS)
    refuse(`its subject must be a string of 1 to ${MAX_SUBJECT_CHARS} characters`);
  if (!sealer.isActive) refuse('it has a subject, but nothing is encrypted here: set the option cipher');
  return subject;
}

function checkKey(key: string, refuse: (problem: string) => never): void {
  if (typeof key !== 'string') refuse(`its key must be a string, got ${typeof key}`);
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) refuse(`its key is longer than ${MAX_KEY_BYTES} bytes`);
  if (!isStorable(key)) refuse('its key contains characters that cannot be stored');
}

function collectHeaders(
  message: Message,
  { byDefault, contract }: OwnHeaders,
  refuse: (problem: string) => never,
): Record<string, string> | null {
  const headers = dictionary(byDefault);
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    if (!/^[\x21-\x7e]{1,256}$/.test(name)) refuse('a header name must be 1 to 256 visible ASCII characters');
    if (name.toLowerCase().startsWith(RESERVED_HEADER_PREFIX)) {
      refuse(`header ${name} begins with ${RESERVED_HEADER_PREFIX}, which is reserved`);
    }
    if (contract !== undefined && name.toLowerCase() === SCHEMA_VERSION_HEADER)
      refuse(`header ${name} is set by the schema of its topic`);
    if (typeof value !== 'string') refuse(`header ${name} must be a string, got ${show(value)}`);
    if (/\p{Cc}/u.test(value.replaceAll('\t', '')) || !isStorable(value))
      refuse(`header ${name} contains control characters`);
    headers[name] = value;
  }
  if (contract !== undefined) headers[SCHEMA_VERSION_HEADER] = String(contract.version);
  const count = Object.keys(headers).length;
  if (count > MAX_HEADERS) refuse(`it has ${count} headers; the limit is ${MAX_HEADERS}`);
  const bytes = headerBytes(headers);
  if (bytes > MAX_HEADER_BYTES) refuse(`its headers have ${bytes} bytes; the limit is ${MAX_HEADER_BYTES}`);
  return count === 0 ? null : headers;
}

/** Headers about a message's content: its type if that is not JSON, and the attributes of a CloudEvent. */
function contentHeaders(
  message: Message,
  id: string | undefined,
  codec: Codec,
  { cloudEvents, contracts }: MessageRules,
  refuse: (problem: string) => never,
): Record<string, string> {
  const { contentType } = codec;
  if (cloudEvents !== undefined) {
    const dataschema = contracts?.find(message.topic)?.uri;
    const headers = cloudEventHeaders(message, cloudEvents, { id, contentType, dataschema });
    const { ce_type: type } = headers;
    if (typeof type !== 'string' || type === '' || /\p{Cc}/u.test(type) || !isStorable(type))
      refuse('its type as a CloudEvent must be a non-empty string of one line');
    return headers;
  }
  if (codec === jsonCodec) return {};
  if (typeof contentType !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(contentType))
    refuse('the contentType of its codec must be 1 to 255 visible ASCII characters');
  return { 'content-type': contentType };
}

function headerBytes(headers: Readonly<Record<string, string>>): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}

function encodePayload(payload: unknown, codec: Codec, id: string, topic: string): Buffer {
  try {
    const bytes: unknown = codec.encode(payload);
    if (types.isPromise(bytes)) bytes.catch(() => {});
    if (!(bytes instanceof Uint8Array)) throw new TypeError(`its codec returned ${typeof bytes}, not bytes`);
    return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    const [problem = 'unknown'] = describeThrown(error).message.split('\n');
    throw new PayloadNotSerializableError(id, topic, problem, { cause: error });
  }
}

/** The payload as handlers will receive it: a Date, for example, has become a string. */
function readBack(payload: Buffer, codec: Codec, id: string, topic: string): unknown {
  try {
    return codec.decode(payload);
  } catch (error) {
    const problem = 'its codec cannot read its own output';
    throw new PayloadNotSerializableError(id, topic, problem, { cause: error });
  }
}
