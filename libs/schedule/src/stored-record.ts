import { dictionary } from '@waybill/kernel';
import { CAUSE_ID_HEADER, type LogRecord, MESSAGE_ID_HEADER } from '@waybill/log';

/** A record's headers as a row keeps them: `[name, value]` in their order, `{ base64 }` for a value that is no text. */
type StoredHeader = readonly [name: string, value: string | null | { readonly base64: string }];

/** The headers of a record as the jsonb of a parked message or a dead letter, from which they come back byte for byte. */
export function storeHeaders(headers: LogRecord['headers']): string {
  return JSON.stringify(headers.map(({ key, value }): StoredHeader => [key, storeValue(value)]));
}

/** What {@link storeHeaders} made, as headers of a record again. */
export function restoreHeaders(stored: string): LogRecord['headers'] {
  const headers = JSON.parse(stored) as readonly StoredHeader[];
  return headers.map(([key, value]) => ({ key, value: restoreValue(value) }));
}

/** What {@link storeHeaders} made, as names and texts for people; of a name that stands twice, the last. */
export function headersAsObject(stored: string): Record<string, string> {
  const headers = dictionary<string>();
  for (const { key, value } of restoreHeaders(stored)) {
    if (value !== null) headers[key] = value.toString('utf8');
  }
  return headers;
}

/** The headers of a message that is sent instead of another: some changed (null takes one away), its own id, its cause. */
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

function storeValue(value: Buffer | null): StoredHeader[1] {
  if (value === null) return null;
  const text = value.toString('utf8');
  // jsonb holds no NUL; bytes that are no UTF-8 would not come back.
  const comesBack = !text.includes('\0') && Buffer.from(text, 'utf8').equals(value);
  return comesBack ? text : { base64: value.toString('base64') };
}

function restoreValue(value: StoredHeader[1]): Buffer | null {
  if (value === null) return null;
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value.base64, 'base64');
}
