import { createHash } from 'node:crypto';
import type { BoundStatement, SqlSession } from '@waybill/kernel';
import { type LogRecord, type Sealer } from '@waybill/log';
import { MESSAGE_ID_HEADER, openRecord, RESERVED_HEADER_PREFIX, sealMessage } from '@waybill/log/internal';
import { editedHeaders, headersAsObject, restoreHeaders, storeHeaders } from './stored-record.js';

/** A message as stored in a dead letter. */
export interface StoredMessage {
  readonly id: number;
  readonly topic: string;
  readonly messageId: string | null;
  readonly key: string | null;
  /** See {@link storeHeaders}. */
  readonly headers: string;
  readonly payload: Buffer | null;
  readonly timestampMs: number;
}

/** The changes to it. */
export interface MessageEdit {
  readonly payload?: Buffer | null;
  readonly headers?: Readonly<Record<string, string | null>>;
  /** The id of the replacement message. */
  readonly messageId: string;
}

/** The replacement, as it is stored; `keep` must run in the transaction. */
export interface EditedMessage {
  readonly headers: string;
  readonly payload: Buffer | null;
  readonly keep: readonly BoundStatement[];
}

/** The replacement of a dead letter's message; encrypted again, if a cipher is configured. */
export async function editedMessage(
  sealer: Sealer,
  session: SqlSession,
  letter: StoredMessage,
  edit: MessageEdit,
): Promise<EditedMessage> {
  const { topic } = letter;
  const record: LogRecord = {
    offset: 0,
    timestampMs: letter.timestampMs,
    key: letter.key === null ? null : Buffer.from(letter.key, 'utf8'),
    value: letter.payload,
    headers: restoreHeaders(letter.headers),
  };
  const opened = await openRecord(sealer, session, topic, record, `dead letter ${letter.id}`);
  const ids = { messageId: edit.messageId, causeId: letter.messageId };
  const headers = editedHeaders(storeHeaders(opened.headers), edit.headers ?? {}, ids);
  const payload = edit.payload === undefined ? opened.value : edit.payload;
  if (!sealer.isActive || payload === null) return { headers, payload, keep: [] };
  const all = restoreHeaders(headers);
  const control = all.filter(({ key }) => key.startsWith(RESERVED_HEADER_PREFIX));
  const users = all.filter(({ key }) => !key.startsWith(RESERVED_HEADER_PREFIX));
  const content = {
    topic,
    id: edit.messageId,
    key: opened.key?.toString('utf8') ?? null,
    headers: headersAsObject(storeHeaders(users)),
    payload,
  };
  const sealed = sealMessage(sealer, content, {
    subject: opened.subject,
    isTemplate: false,
    hasUserKey: true,
    storedKey: letter.key,
  });
  const plain = Object.entries(sealed.headers ?? {}).map(([key, value]) => ({
    key,
    value: Buffer.from(value, 'utf8'),
  }));
  return {
    headers: storeHeaders([...control, ...plain]),
    payload: sealed.payload,
    keep: sealed.subjectKey === null ? [] : [sealed.subjectKey.keep],
  };
}

/** Identifies a message without revealing its content: the audit record stores this. */
export function traceOf({ messageId, headers, payload }: StoredMessage): Readonly<Record<string, unknown>> {
  return {
    messageId,
    headersSha256: sha256(headers),
    payloadSha256: payload === null ? null : sha256(payload),
    payloadBytes: payload?.length ?? null,
  };
}

/** The id with which a message was sealed. */
export function idIn({ headers }: { readonly headers: Readonly<Record<string, string>> }): string {
  return headers[MESSAGE_ID_HEADER] ?? '';
}

function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
