import { type ErrorCode, isWaybillError, type SqlSession } from '@waybill/kernel';
import { dictionary } from '@waybill/kernel/internal';
import type { LogRecord } from '../record/index.js';
import { MESSAGE_ID_HEADER, RESERVED_HEADER_PREFIX } from '../record/record-headers.js';
import { type Envelope, isEnvelope } from './envelope.js';
import type { SealedLocation, Sealer } from './sealer.js';
import type { SubjectKey } from './subject-keys.js';

/** What of a message is sealed. */
export interface MessageContent {
  readonly topic: string;
  readonly id: string;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly payload: Buffer;
}

/** For whom a message is sealed, and how. */
export interface MessageSealing {
  readonly subject: string | null;
  /** Whether it is the template of many, which have ids of their own. */
  readonly isTemplate: boolean;
  /** Whether its key is the user's, and not one of Waybill's own. */
  readonly hasUserKey: boolean;
  /** The key under which it stands already. Default: what the sealer makes of its key. */
  readonly storedKey?: string | null;
}

/** A message in the form in which it is stored. */
export interface SealedMessage extends Pick<MessageContent, 'key' | 'headers' | 'payload'> {
  readonly subjectKey: SubjectKey | null;
}

/** A record whose content has been opened. */
export interface OpenedRecord extends LogRecord {
  /** Whose it is, where that was said. */
  readonly subject: string | null;
  /** Whether it was sealed. */
  readonly wasSealed: boolean;
}

/** A message as it was before it was sealed. */
export type OpenedMessage<Message> = Message & {
  readonly payload: Buffer | null;
  /** Whose data it holds, where that was said. */
  readonly subject: string | null;
};

/** What stands in front of the payload within the envelope. */
interface Inner {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly subject?: string;
}

const UNREADABLE: ReadonlySet<ErrorCode> = new Set(['CONTENT_UNDECIPHERABLE', 'SUBJECT_ERASED']);

/** Headers that are read before a message is opened, by Waybill and by what lies between; the others are sealed. */
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

/** Seals a message: its payload, its headers but for those that must be read on the way, and its key where that is asked. */
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
 * A message as it was before it was sealed; one that was not is returned as it is.
 *
 * @param session where the keys of subjects are
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

/** As {@link openMessage}, for people: what cannot be opened stays as it is stored, and says why. */
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

/** Why something that was sealed cannot be read. @throws what is something else */
export function whyUnreadable(error: unknown): string {
  const isKnown = isWaybillError(error) && UNREADABLE.has(error.code);
  if (!isKnown) throw error;
  return `${error.code}: ${error.message}`;
}

/** A record as its handler is to have it: its own key, all of its headers, its payload. Else as {@link openMessage}. */
export async function openRecord(
  sealer: Sealer,
  session: SqlSession,
  topic: string,
  record: LogRecord,
  what: string,
): Promise<OpenedRecord> {
  const { key, value, headers } = record;
  if (!isEnvelope(value)) return { ...record, subject: null, wasSealed: false };
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
  // The database writes a UUID in lower case, whatever its sender wrote.
  return { kind: 'message', of: [topic, id?.toLowerCase() ?? null, key] };
}

/** Control headers are Waybill's own: nobody slips one in within an envelope. */
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
