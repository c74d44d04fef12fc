import { types } from 'node:util';
import { describeThrown, dictionary, PayloadUnreadableError, type SqlSession } from '@waybill/kernel';
import {
  decodeBatch,
  EXPIRES_AT_HEADER,
  isControlHeader,
  type FetchedBatch,
  type LogRecord,
  MESSAGE_ID_HEADER,
  type OpenedRecord,
  RESERVED_HEADER_PREFIX,
} from '@waybill/log';
import { SCHEMA_VERSION_HEADER } from '@waybill/outbox';
import type { Subscription } from './subscription.js';

/** A record as a lane works with it: where it stands, and what orders it. */
export interface LaneRecord {
  readonly offset: number;
  /** Orders the records of one key; null has no order. */
  readonly key: string | null;
  readonly bucketSeq: number;
  readonly record: LogRecord;
  /** Whether an operator has redriven it. */
  readonly isRedriven?: boolean;
}

/** The records of a fetched batch from an offset on, for a lane. */
export function laneRecords({ data, bucketSeq }: FetchedBatch, fromOffset: number): LaneRecord[] {
  return decodeBatch(data, { fromOffset }).map((record) => ({
    offset: record.offset,
    key: keyOf(record),
    bucketSeq,
    record,
  }));
}

/** One hand-over of a message to a handler. */
export interface Delivery {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Headers of Waybill's own (`waybill-…`), which no user can write: whose request or command it is. */
  readonly control: Readonly<Record<string, string>>;
  /** The message's id; null for records of producers that give none. */
  readonly messageId: string | null;
  /** Whose data it holds, where its publisher said so. */
  readonly subject: string | null;
  /** When the message was published. */
  readonly timestamp: Date;
  /** Counts the attempts to handle this message, from 1; it goes on when the partition changes hands. */
  readonly attempt: number;
  /** Whether an operator has redriven it, as a dead letter: it is wanted however late it is. */
  readonly isRedriven: boolean;
  /** As the topic's schema makes it, where there is one; else as the codec does. */
  readonly payload: unknown;
  /** The open transaction, in the type of the user's driver or ORM: a pg client, Prisma's transaction client. */
  readonly transaction: unknown;
  /** The same transaction, for Waybill's own statements; the outbox takes either. */
  readonly session: SqlSession;
  /** Aborts when the delivery cannot be committed any more. */
  readonly signal: AbortSignal;
  /**
   * Has something done as soon as this delivery's transaction is committed. A hint that speeds up what would come about
   * anyway: a crash in between forgets it. What it throws is not heard.
   */
  readonly afterCommit: (work: () => Promise<unknown>) => void;
}

/** Where a record stands, for messages: `orders.placed[3]@1207`. */
export function placeOf(topic: string, partition: number, offset: number): string {
  return `${topic}[${partition}]@${offset}`;
}

/** The headers of a record, without those that are Waybill's own. */
export function headersOf(record: LogRecord): Record<string, string> {
  return headersWhere(record, (name) => !name.startsWith(RESERVED_HEADER_PREFIX));
}

/** The headers by which a record tells Waybill something. */
export function controlOf(record: LogRecord): Record<string, string> {
  return headersWhere(record, isControlHeader);
}

function headersWhere(record: LogRecord, isWanted: (name: string) => boolean): Record<string, string> {
  const headers = dictionary<string>();
  for (const { key, value } of record.headers) {
    if (isWanted(key) && value !== null) headers[key] = value.toString('utf8');
  }
  return headers;
}

/** The key of a record as a text, or null when it has none. */
export function keyOf({ key }: Pick<LogRecord, 'key'>): string | null {
  return key === null ? null : textOf(key);
}

/** The message's id, or null when the record carries none. */
export function messageIdOf(record: LogRecord): string | null {
  const id = record.headers.find(({ key }) => key === MESSAGE_ID_HEADER)?.value ?? null;
  return id === null ? null : textOf(id);
}

/** Bytes that another program has written, as a text that a row can hold: what stands for no character is U+FFFD, NUL too. */
function textOf(bytes: Buffer): string {
  return bytes.toString('utf8').replaceAll('\0', '\ufffd');
}

/** Until when the message is worth handling, in milliseconds since 1970; Infinity when it says nothing. */
export function expiresAtMs(record: LogRecord): number {
  const value = record.headers.find(({ key }) => key === EXPIRES_AT_HEADER)?.value?.toString('utf8') ?? '';
  return /^\d{1,16}$/.test(value) ? Number(value) : Infinity;
}

/**
 * The payload for its handler.
 * @throws PayloadUnreadableError, PayloadInvalidError, PayloadVersionUnsupportedError, PayloadVersionUnknownError
 */
export function payloadOf(
  record: OpenedRecord,
  { codec, contract }: Pick<Subscription, 'codec' | 'contract'>,
  place: string,
): unknown {
  if (contract === undefined) return decoded(record, codec, place);
  const id = messageIdOf(record);
  const what = id === null ? place : `message ${id} at ${place}`;
  const header = record.headers.find(({ key }) => key === SCHEMA_VERSION_HEADER)?.value?.toString('utf8');
  // A newer version may be encoded in another way, too.
  const version = contract.versionOf(header, what);
  return contract.read(decoded(record, codec, place), version, what);
}

function decoded(record: OpenedRecord, codec: Subscription['codec'], place: string): unknown {
  if (record.value === null) return null;
  try {
    const payload = codec.decode(record.value);
    if (types.isPromise(payload)) throw asynchronous(payload);
    return payload;
  } catch (error) {
    // What JSON.parse says quotes the text, which then stands in a dead letter in plain.
    const problem = record.wasSealed ? 'its codec cannot read it' : describeThrown(error).message;
    throw new PayloadUnreadableError(place, problem, record.wasSealed ? {} : { cause: error });
  }
}

/** No caller waits for it: its failure must not end the process. */
function asynchronous(payload: Promise<unknown>): TypeError {
  payload.catch(() => {});
  return new TypeError('its codec answers with a Promise, and payloads are read synchronously');
}
