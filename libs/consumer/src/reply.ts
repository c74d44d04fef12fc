import { type BoundStatement, newId, type RemoteError } from '@waybill/kernel';
import type { LogRecord } from '@waybill/log';
import { SCHEMA_VERSION_HEADER } from '@waybill/outbox';
import { timerStatements } from '@waybill/schedule';
import { headersOf } from './delivery.js';
import { remoteErrorOf } from './remote-error.js';

/** Where the answer to a message goes: a topic. A message that has it is a request. */
export const REPLY_TO_HEADER = 'reply-to';
/** Under which key the answer goes there. */
export const REPLY_KEY_HEADER = 'reply-key';
/** In an answer: how the request has ended. `failed`: it is a dead letter. */
export const REPLY_STATUS_HEADER = 'reply-status';
/** In an answer that is not good: why. */
export const REPLY_ERROR_HEADER = 'reply-error';

/** How a request has ended. `ongoing`: it has not, and the answer comes later. */
export type ReplyStatus = 'done' | 'rejected' | 'failed' | 'ongoing';

/** Headers of a message. */
export type Headers = Readonly<Record<string, string>>;

const STATUSES: readonly string[] = ['done', 'rejected', 'failed', 'ongoing'] satisfies ReplyStatus[];
/** What the request says about its own way does not go back with the answer. */
const OWN: ReadonlySet<string> = new Set([
  REPLY_TO_HEADER,
  REPLY_KEY_HEADER,
  REPLY_STATUS_HEADER,
  REPLY_ERROR_HEADER,
  'traceparent',
  'tracestate',
  'baggage',
  'content-type',
  SCHEMA_VERSION_HEADER,
]);
const EVENT_PREFIX = 'ce_';
const ERROR_CHARS = 1_000;
/** What no header can carry: control characters, and halves of surrogate pairs. */
const NO_HEADER = /[\p{Cc}\p{Cs}]/gu;

/** @returns undefined for a text that is no status */
export function replyStatus(text: string | undefined): ReplyStatus | undefined {
  return text !== undefined && STATUSES.includes(text) ? (text as ReplyStatus) : undefined;
}

/** The headers of an answer: those of the request, by which the asker knows it again, and how it has ended. */
export function replyHeaders(request: Headers, status: ReplyStatus, error?: string): Record<string, string> {
  const kept = Object.entries(request)
    .filter(([name]) => !OWN.has(name) && !name.startsWith(EVENT_PREFIX))
    .map(([name, value]): [string, string] => [cleanHeader(name), cleanHeader(value)]);
  const headers: Record<string, string> = { ...Object.fromEntries(kept), [REPLY_STATUS_HEADER]: status };
  if (error !== undefined) headers[REPLY_ERROR_HEADER] = shorten(error);
  return headers;
}

/** Where a message wants its answer; undefined for one that asks for none. */
export function replyTopicOf(record: LogRecord): string | undefined {
  return headersOf(record)[REPLY_TO_HEADER];
}

/**
 * The statements that answer a request which is a dead letter now, in the transaction that makes it one. They stand in the
 * log's database, where there is no outbox: the answer is a timer that is due at once.
 * @param topic where the answer goes; it must be there
 */
export function failureReply(record: LogRecord, topic: string, error: unknown): BoundStatement[] {
  const request = headersOf(record);
  const remote = remoteErrorOf(error);
  const message = {
    id: newId(),
    token: null,
    topic,
    partition: null,
    key: request[REPLY_KEY_HEADER]?.replace(NO_HEADER, ' ') ?? null,
    headers: JSON.stringify(replyHeaders(request, 'failed', reasonOf(remote))),
    payload: Buffer.from(JSON.stringify(remote)),
  };
  return timerStatements([{ action: 'schedule', message, dueMs: Date.now() }]);
}

/** Class and message of an error, as one line. */
export function reasonOf({ name, message }: RemoteError): string {
  return `${name}: ${message}`;
}

function shorten(text: string): string {
  const short = text.length > ERROR_CHARS ? `${text.slice(0, ERROR_CHARS)}…` : text;
  return cleanHeader(short);
}

/** The request may have been written by a program that checks nothing. */
function cleanHeader(text: string): string {
  return text.replace(NO_HEADER, ' ');
}
