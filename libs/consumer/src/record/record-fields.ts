import { dictionary } from '@waybill/kernel/internal';
import { type LogRecord } from '@waybill/log';
import {
  EXPIRES_AT_HEADER,
  isControlHeader,
  MESSAGE_ID_HEADER,
  RESERVED_HEADER_PREFIX,
} from '@waybill/log/internal';

/** The location of a record for messages: `orders.placed[3]@1207`. */
export function locationOf(topic: string, partition: number, offset: number): string {
  return `${topic}[${partition}]@${offset}`;
}

/** The headers of a record, without Waybill's own. */
export function headersOf(record: LogRecord): Record<string, string> {
  return headersWhere(record, (name) => !name.startsWith(RESERVED_HEADER_PREFIX));
}

/** Waybill's own headers of a record. */
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

/** The key of a record as a string, or null if it has none. */
export function keyOf({ key }: Pick<LogRecord, 'key'>): string | null {
  return key === null ? null : textOf(key);
}

/** The message's id, or null if the record has none. */
export function messageIdOf(record: LogRecord): string | null {
  const id = record.headers.find(({ key }) => key === MESSAGE_ID_HEADER)?.value ?? null;
  return id === null ? null : textOf(id);
}

/** Bytes from another program as a string that a row can hold: invalid characters and NUL become U+FFFD. */
function textOf(bytes: Buffer): string {
  return bytes.toString('utf8').replaceAll('\0', '\ufffd');
}

/** When the message expires, in milliseconds since 1970; Infinity if it never does. */
export function expiresAtMs(record: LogRecord): number {
  const value = record.headers.find(({ key }) => key === EXPIRES_AT_HEADER)?.value?.toString('utf8') ?? '';
  return /^\d{1,16}$/.test(value) ? Number(value) : Infinity;
}
