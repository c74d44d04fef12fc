import { dictionary } from '@waybill/kernel/internal';
import { type LogRecord } from '@waybill/log';
import { CAUSE_ID_HEADER, MESSAGE_ID_HEADER } from '@waybill/log/internal';

/** Bytes as stored in a row: text, or base64 if they are not storable text. */
type StoredBytes = string | { readonly base64: string };

/** A record's headers as stored in a row: `[name, value]` in their order. */
type StoredHeader = readonly [name: StoredBytes, value: StoredBytes | null];

/**
 * The headers of a record as the jsonb of a parked message or a dead letter, from which they are restored byte for
 * byte.
 */
export function storeHeaders(headers: LogRecord['headers']): string {
  const stored = headers.map(({ key, value }): StoredHeader => {
    return [storeBytes(Buffer.from(key, 'utf8')), value === null ? null : storeBytes(value)];
  });
  return JSON.stringify(stored);
}

/** Turns the output of {@link storeHeaders} back into headers of a record. */
export function restoreHeaders(stored: string): LogRecord['headers'] {
  const headers = JSON.parse(stored) as readonly StoredHeader[];
  return headers.map(([key, value]) => ({
    key: restoreBytes(key).toString('utf8'),
    value: value === null ? null : restoreBytes(value),
  }));
}

/** The output of {@link storeHeaders} as names and texts for display; of a repeated name, the last value. */
export function headersAsObject(stored: string): Record<string, string> {
  const headers = dictionary<string>();
  for (const { key, value } of restoreHeaders(stored)) {
    if (value !== null) headers[key] = value.toString('utf8');
  }
  return headers;
}

/** The headers of a replacement message: with changes (null removes one), its own id, its cause. */
export function editedHeaders(
  stored: string,
  changes: Readonly<Record<string, string | null>>,
  ids: { readonly messageId: string; readonly causeId: string | null },
): string {
  const set = dictionary<string | null>({
    ...changes,
    [MESSAGE_ID_HEADER]: ids.messageId,
    [CAUSE_ID_HEADER]: ids.causeId,
  });
  const kept = restoreHeaders(stored).filter(({ key }) => !Object.hasOwn(set, key));
  const added = Object.entries(set).flatMap(([key, value]) =>
    value === null ? [] : [{ key, value: Buffer.from(value, 'utf8') }],
  );
  return storeHeaders([...kept, ...added]);
}

function storeBytes(bytes: Buffer): StoredBytes {
  const text = bytes.toString('utf8');
  // jsonb cannot contain NUL; bytes that are not UTF-8 would not be restored.
  const comesBack = !text.includes('\0') && Buffer.from(text, 'utf8').equals(bytes);
  return comesBack ? text : { base64: bytes.toString('base64') };
}

function restoreBytes(stored: StoredBytes): Buffer {
  return typeof stored === 'string' ? Buffer.from(stored, 'utf8') : Buffer.from(stored.base64, 'base64');
}
