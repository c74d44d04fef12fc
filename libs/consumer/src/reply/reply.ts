import { types } from 'node:util';
import { type BoundStatement, newId, type RemoteError, ReplyTopicRefusedError } from '@waybill/kernel';
import { dictionary, own } from '@waybill/kernel/internal';
import { type LogRecord, type Sealer } from '@waybill/log';
import { headersTogether, sealMessage } from '@waybill/log/internal';
import { type Codec, jsonCodec, type MessageSignatures } from '@waybill/outbox';
import { timerStatements } from '@waybill/timer';
import { controlOf, locationOf } from '../record/record-fields.js';

/** The topic of the reply. A message with it is a request. */
export const REPLY_TO_HEADER = 'waybill-reply-to';
/** The key of the reply. */
export const REPLY_KEY_HEADER = 'waybill-reply-key';
/** In a reply: how the request has ended. `failed`: it is a dead letter. */
export const REPLY_STATUS_HEADER = 'waybill-reply-status';
/** In a rejected or failed reply: the reason. */
export const REPLY_ERROR_HEADER = 'waybill-reply-error';

/** How a request has ended. `ongoing`: it has not, and the reply comes later. */
export type ReplyStatus = 'done' | 'rejected' | 'failed' | 'ongoing';

/** Headers of a message. */
export type Headers = Readonly<Record<string, string>>;

const STATUSES: readonly string[] = ['done', 'rejected', 'failed', 'ongoing'] satisfies ReplyStatus[];
/** In a request and its reply: the id of the request. */
export const REQUEST_ID_HEADER = 'waybill-request-id';
/** Headers that are copied into a reply, by which the requester identifies the request; nothing else is copied. */
const ECHOED: readonly string[] = [
  REQUEST_ID_HEADER,
  'waybill-saga-id',
  'waybill-saga-step',
  'waybill-saga-branch',
  'waybill-saga-op',
  'waybill-saga-attempt',
  'waybill-saga-mac',
];
/** Suffixes of reply topics. With other topics, a request could make a service send messages in its own name. */
const REPLY_TOPIC = /\.(saga-)?replies$/;
const ERROR_CHARS = 1_000;
/** Characters that a header cannot contain: control characters and unpaired surrogates. */
const NO_HEADER = /[\p{Cc}\p{Cs}]/gu;

/** @returns undefined if the string is not a status */
export function replyStatus(text: string | undefined): ReplyStatus | undefined {
  return text !== undefined && STATUSES.includes(text) ? (text as ReplyStatus) : undefined;
}

/**
 * The control headers of a reply: those by which the requester identifies the request, and how it has ended.
 * @param request the control headers of the request
 */
export function replyHeaders(request: Headers, status: ReplyStatus, error?: string): Record<string, string> {
  const headers = dictionary<string>({ [REPLY_STATUS_HEADER]: status });
  for (const name of ECHOED) {
    const value = request[name];
    if (value !== undefined) headers[name] = cleanHeader(value);
  }
  if (error !== undefined) headers[REPLY_ERROR_HEADER] = shorten(error);
  return headers;
}

/** Whether replies may go to a topic of this name. */
export function isReplyTopic(name: string): boolean {
  return REPLY_TOPIC.test(name);
}

/**
 * The reply topic of a message; undefined if it asks for no reply.
 * @param control its control headers
 * @throws ReplyTopicRefusedError if the topic is not a reply topic
 */
export function replyTopicOf(control: Headers, message: string): string | undefined {
  const topic = control[REPLY_TO_HEADER];
  if (topic !== undefined && !isReplyTopic(topic))
    throw new ReplyTopicRefusedError(
      message,
      topic,
      'replies go to topics that end in .replies or .saga-replies',
    );
  return topic;
}

/** A message that may ask for a reply, and its location. */
interface Asking {
  readonly control: Headers;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/**
 * Checks, before a handler runs, that a request can get its reply.
 * @param find finds a topic of the log; without it only the topic's name is checked
 * @throws ReplyTopicRefusedError
 */
export async function assertReplyTopic(
  { control, topic, partition, offset }: Asking,
  find: ((topic: string) => Promise<unknown>) | undefined,
): Promise<void> {
  const location = locationOf(topic, partition, offset);
  const replyTo = replyTopicOf(control, location);
  if (replyTo !== undefined && find !== undefined && (await find(replyTo)) === undefined)
    throw new ReplyTopicRefusedError(location, replyTo, 'the topic does not exist');
}

/** What a reply is written with. */
export interface ReplyRules {
  readonly codecs: Readonly<Record<string, Codec>>;
  readonly sealer: Sealer;
  readonly signatures?: MessageSignatures | undefined;
}

/**
 * The statements that reply to a request that becomes a dead letter, in the transaction that makes it one. The reply is a
 * timer that is due at once: the service's scheduler gets it into the log, by the outbox where the log is elsewhere. Its
 * details are encoded by the topic's codec; if that fails, the header still gives the reason.
 * @param topic the reply topic; it must exist
 * @param remote the reported failure
 */
export function failureReply(
  record: LogRecord,
  topic: string,
  remote: RemoteError,
  { codecs, sealer, signatures }: ReplyRules,
): BoundStatement[] {
  const request = controlOf(record);
  const control = replyHeaders(request, 'failed', reasonOf(remote));
  const codec = own(codecs, topic) ?? jsonCodec;
  const payload = encodedBy(codec, remote);
  const content = {
    id: newId(),
    topic,
    key: request[REPLY_KEY_HEADER]?.replace(NO_HEADER, ' ') ?? null,
    headers: codec === jsonCodec ? null : { 'content-type': codec.contentType },
  };
  const sealing = { subject: null, isTemplate: false, hasUserKey: false };
  const stored =
    payload === null
      ? { ...content, payload }
      : { ...content, ...sealMessage(sealer, { ...content, payload }, sealing) };
  const signature = signatures?.sign({ ...stored, control }) ?? null;
  const headers = headersTogether({
    headers: stored.headers && JSON.stringify(stored.headers),
    control: JSON.stringify(control),
    signature,
  });
  const { id, key } = stored;
  const message = { id, topic, key, payload: stored.payload, token: null, partition: null, headers };
  return timerStatements([{ action: 'schedule', message, dueMs: Date.now() }]);
}

function encodedBy(codec: Codec, remote: RemoteError): Buffer | null {
  try {
    const bytes: unknown = codec.encode(remote);
    if (types.isPromise(bytes)) bytes.catch(() => {});
    return bytes instanceof Uint8Array ? Buffer.from(bytes) : null;
  } catch {
    return null;
  }
}

/** Class and message of an error, as one line. */
export function reasonOf({ name, message }: RemoteError): string {
  return `${name}: ${message}`;
}

function shorten(text: string): string {
  const short = text.length > ERROR_CHARS ? `${text.slice(0, ERROR_CHARS)}…` : text;
  return cleanHeader(short);
}

/** The request may have been written by a program without checks. */
function cleanHeader(text: string): string {
  return text.replace(NO_HEADER, ' ');
}
