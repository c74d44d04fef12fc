import { type ErrorCode, isWaybillError, type SqlSession } from '@waybill/kernel';
import { dictionary } from '@waybill/kernel/internal';
import type { LogRecord } from '../record/index.js';
import { MESSAGE_ID_HEADER, RESERVED_HEADER_PREFIX } from '../record/record-headers.js';
import { type Envelope, isEnvelope } from './envelope.js';
import type { SealedLocation, Sealer } from './sealer.js';
import type { SubjectKey } from './subject-keys.js';

/** The sealed parts of a message. */
export interface MessageContent {
  readonly topic: string;
  readonly id: string;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly payload: Buffer;
}

/** Options for sealing a message. */
export interface MessageSealing {
  readonly subject: string | null;
  /** Whether it is a template for many messages, which have their own ids. */
  readonly isTemplate: boolean;
  /** Whether its key is the user's, and not one of Waybill's. */
  readonly hasUserKey: boolean;
  /** Its stored key, if it already has one. Default: the sealer's form of its key. */
  readonly storedKey?: string | null;
}

/** A message as it is stored. */
export interface SealedMessage extends Pick<MessageContent, 'key' | 'headers' | 'payload'> {
  readonly subjectKey: SubjectKey | null;
}

/** A record whose content has been opened. */
export interface OpenedRecord extends LogRecord {
  /** Its subject, if one was given. */
  readonly subject: string | null;
  /** Whether it was sealed. */
  readonly wasSealed: boolean;
}

/** A message before it was sealed. */
export type OpenedMessage<Message> = Message & {
  readonly payload: Buffer | null;
  /** The subject of its data, if one was given. */
  readonly subject: string | null;
};

/** The part of the envelope's content that precedes the payload. */
interface Inner {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly subject?: string;
}

const UNREADABLE: ReadonlySet<ErrorCode> = new Set(['CONTENT_UNDECIPHERABLE', 'SUBJECT_ERASED']);

/** Headers that Waybill and intermediaries read before a message is opened; the others are sealed. */
const PLAIN: ReadonlySet<string> = new Set([
  'content-type',
  'traceparent',
  'tracestate',
  'schema-version',
  'ce_id',
  'ce_time',
  'ce_specversion',
  'ce_type',
  'ce_source',
  'ce_dataschema',
]);

/** Seals a message: its payload, its headers except those that must be read in transit, and its key if requested. */
export function sealMessage(
  sealer: Sealer,
  { topic, id, key, headers, payload }: MessageContent,
  { subject, isTemplate, hasUserKey, ...given }: MessageSealing,
): SealedMessage {
  if (!sealer.isActive) return { key, headers, payload, subjectKey: null };
  const { storedKey = key === null || !hasUserKey ? key : sealer.storedKey(key) } = given;
  const names = Object.keys(headers ?? {});
  const inner: Inner = {
    ...(storedKey === key || key === null ? {} : { key }),
    headers: pick(headers, (name) => !PLAIN.has(name.toLowerCase())),
    ...(subject === null ? {} : { subject }),
  };
  const head = Buffer.from(JSON.stringify(inner), 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(head.length);
  const subjectKey = subject === null ? null : sealer.subjectKey(subject);
  const location = locationOf(topic, isTemplate ? null : id, storedKey);
  const plain = names.filter((name) => PLAIN.has(name.toLowerCase()));
  return {
    key: storedKey,
    headers: plain.length === 0 ? null : pick(headers, (name) => PLAIN.has(name.toLowerCase())),
    payload: sealer.seal(Buffer.concat([length, head, payload]), location, { subjectKey, isTemplate }),
    subjectKey,
  };
}

/**
 * A message as it was before it was sealed; an unsealed one is returned unchanged.
 *
 * @param session for the keys of subjects
 * @param what names it for errors
 * @throws ContentUndecipherableError, SubjectErasedError
 */
export async function openMessage<Message extends Omit<MessageContent, 'payload'>>(
  sealer: Sealer,
  session: SqlSession,
  message: Message & { readonly payload: Buffer | null },
  what: string,
): Promise<OpenedMessage<Message>> {
  const { key, headers, payload } = message;
  if (!isEnvelope(payload)) return { ...message, subject: null };
  const { subject, ...inner } = await openInner(sealer, session, { ...message, payload }, what);
  const opened = { key: inner.key ?? key, headers: { ...headers, ...inner.headers }, payload: inner.payload };
  return { ...message, ...opened, subject };
}

/** Like {@link openMessage}, for display: a message that cannot be opened stays as stored, with the reason. */
export async function readableMessage<Message extends Omit<MessageContent, 'payload'>>(
  sealer: Sealer,
  session: SqlSession,
  message: Message & { readonly payload: Buffer | null },
  what: string,
): Promise<Message & { readonly payload: Buffer | null; readonly unreadable: string | null }> {
  try {
    return { ...(await openMessage(sealer, session, message, what)), unreadable: null };
  } catch (error) {
    return { ...message, unreadable: whyUnreadable(error) };
  }
}

/** The reason why sealed content cannot be read. @throws any other error */
export function whyUnreadable(error: unknown): string {
  const isKnown = isWaybillError(error) && UNREADABLE.has(error.code);
  if (!isKnown) throw error;
  return `${error.code}: ${error.message}`;
}

/** Whether a record has to be opened before it is read. */
export function isSealedRecord({ value }: LogRecord): boolean {
  return isEnvelope(value);
}

/** A record that was not sealed, as {@link openRecord} returns it. */
export function plainRecord({ offset, timestampMs, key, value, headers }: LogRecord): OpenedRecord {
  return { offset, timestampMs, key, value, headers, subject: null, wasSealed: false };
}

/** A record as its handler receives it: original key, all headers, payload. Otherwise like {@link openMessage}. */
export async function openRecord(
  sealer: Sealer,
  session: SqlSession,
  topic: string,
  record: LogRecord,
  what: string,
): Promise<OpenedRecord> {
  const { key, value, headers } = record;
  if (!isEnvelope(value)) return plainRecord(record);
  const id = headers.find(({ key: name }) => name === MESSAGE_ID_HEADER)?.value?.toString('utf8') ?? null;
  const stored = { topic, id, key: key?.toString('utf8') ?? null, payload: value };
  const inner = await openInner(sealer, session, stored, what);
  const own = Object.entries(inner.headers);
  return {
    ...record,
    key: inner.key === undefined ? key : Buffer.from(inner.key, 'utf8'),
    value: inner.payload,
    headers: [
      ...headers.filter(({ key: name }) => !Object.hasOwn(inner.headers, name)),
      ...own.map(([name, text]) => ({ key: name, value: Buffer.from(text, 'utf8') })),
    ],
    subject: inner.subject,
    wasSealed: true,
  };
}

interface OpenedInner {
  readonly key: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly subject: string | null;
  readonly payload: Buffer;
}

async function openInner(
  sealer: Sealer,
  session: SqlSession,
  stored: Pick<MessageContent, 'topic' | 'key' | 'payload'> & { readonly id: string | null },
  what: string,
): Promise<OpenedInner> {
  const location = ({ isTemplate }: Envelope): SealedLocation =>
    locationOf(stored.topic, isTemplate ? null : stored.id, stored.key);
  const opened = await sealer.open(session, stored.payload, location, what);
  const start = 4 + opened.readUInt32BE(0);
  const { key, headers, subject = null } = JSON.parse(opened.toString('utf8', 4, start)) as Inner;
  return { key, headers: pick(headers ?? null, isOfUser), subject, payload: opened.subarray(start) };
}

function locationOf(topic: string, id: string | null, key: string | null): SealedLocation {
  // The database returns a UUID in lower case, however the sender wrote it.
  return { kind: 'message', of: [topic, id?.toLowerCase() ?? null, key] };
}

/** Control headers are Waybill's: an envelope must not smuggle one in. */
function isOfUser(name: string): boolean {
  return !name.toLowerCase().startsWith(RESERVED_HEADER_PREFIX);
}

function pick(
  headers: Readonly<Record<string, string>> | null,
  isWanted: (name: string) => boolean,
): Record<string, string> {
  const picked = dictionary<string>();
  for (const [name, value] of Object.entries(headers ?? {})) if (isWanted(name)) picked[name] = value;
  return picked;
}
