import { InvariantError } from '@waybill/kernel';

/** A row of the outbox as COPY sends it. The buffers are valid only while the row is. */
export interface OutboxRow {
  readonly rowId: number;
  readonly topic: string;
  readonly partition: number | null;
  readonly key: Buffer | null;
  /** The message's id in its text form, 36 bytes; overwritten by the next row. */
  readonly id: Buffer;
  readonly headers: string | null;
  /** Control headers, as JSON. */
  readonly control: string | null;
  readonly expiresAtMs: number | null;
  readonly signature: string | null;
  readonly payload: Buffer | null;
  readonly createdAtMs: number;
  /** Null for a message for the log; see the column's comment. */
  readonly timerAction: number | null;
  /** Rounded up to the millisecond: nothing is delivered early. */
  readonly deliverAtMs: number | null;
  readonly timerToken: string | null;
}

const FIELDS = 14;
/** Milliseconds from 1970 to 2000, PostgreSQL's epoch. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

/** The columns that the relay reads, in this order. */
export const OUTBOX_COLUMNS =
  'id, topic, partition_number, key, message_id, headers, payload, created_at, control, expires_at_ms, signature, timer_action, deliver_at, timer_token';

const idText = Buffer.alloc(36, '-');
const HEX = Buffer.from('0123456789abcdef');

/** Reads one binary row of the columns of {@link OUTBOX_COLUMNS}. */
export function readOutboxRow(row: Buffer): OutboxRow {
  if (row.readInt16BE(0) !== FIELDS)
    throw new InvariantError(`a row of the outbox has ${row.readInt16BE(0)} fields`);
  const rowId = readRowId(row);
  const topic = readTopic(row);
  let at = 18 + row.readInt32BE(14);
  const partitionLength = row.readInt32BE(at);
  const partition = partitionLength === -1 ? null : row.readInt32BE(at + 4);
  at += 4 + Math.max(0, partitionLength);
  const keyLength = row.readInt32BE(at);
  const key = keyLength === -1 ? null : row.subarray(at + 4, at + 4 + keyLength);
  at += 4 + Math.max(0, keyLength);
  writeIdText(row, at + 4);
  at += 20;
  const headers = readJsonb(row, at);
  at = endOf(row, at);
  const payloadLength = row.readInt32BE(at);
  const payload = payloadLength === -1 ? null : row.subarray(at + 4, at + 4 + payloadLength);
  at += 4 + Math.max(0, payloadLength);
  const createdAtMs = Math.floor(int64(row, at + 4) / 1000) + POSTGRES_EPOCH_MS;
  at += 12;
  const control = readJsonb(row, at);
  at = endOf(row, at);
  const expiresAtMs = row.readInt32BE(at) === -1 ? null : int64(row, at + 4);
  at = endOf(row, at);
  const signature = row.readInt32BE(at) === -1 ? null : row.toString('utf8', at + 4, endOf(row, at));
  at = endOf(row, at);
  return {
    rowId,
    topic,
    partition,
    key,
    id: idText,
    headers,
    control,
    expiresAtMs,
    signature,
    payload,
    createdAtMs,
    ...readTimer(row, at),
  };
}

/** A jsonb begins with a version byte. */
function readJsonb(row: Buffer, at: number): string | null {
  const length = row.readInt32BE(at);
  return length === -1 ? null : row.toString('utf8', at + 5, at + 4 + length);
}

/** The start of the field after the one at `at`. */
function endOf(row: Buffer, at: number): number {
  return at + 4 + Math.max(0, row.readInt32BE(at));
}

function readTimer(row: Buffer, from: number): Pick<OutboxRow, 'timerAction' | 'deliverAtMs' | 'timerToken'> {
  if (row.readInt32BE(from) === -1) return { timerAction: null, deliverAtMs: null, timerToken: null };
  const timerAction = row.readInt16BE(from + 4);
  let at = from + 6;
  const timeLength = row.readInt32BE(at);
  const deliverAtMs = timeLength === -1 ? null : Math.ceil(int64(row, at + 4) / 1000) + POSTGRES_EPOCH_MS;
  at += 4 + Math.max(0, timeLength);
  const tokenLength = row.readInt32BE(at);
  const timerToken = tokenLength === -1 ? null : row.toString('utf8', at + 4, at + 4 + tokenLength);
  return { timerAction, deliverAtMs, timerToken };
}

/** The id of a row, its first column. */
export function readRowId(row: Buffer): number {
  return int64(row, 6);
}

/** The topic of a row, its second column. */
export function readTopic(row: Buffer): string {
  return row.toString('latin1', 18, 18 + row.readInt32BE(14));
}

function int64(row: Buffer, at: number): number {
  return row.readInt32BE(at) * 4_294_967_296 + row.readUInt32BE(at + 4);
}

function writeIdText(row: Buffer, from: number): void {
  let to = 0;
  for (let index = 0; index < 16; index += 1) {
    if (index === 4 || index === 6 || index === 8 || index === 10) to += 1;
    const byte = row[from + index] as number;
    idText[to] = HEX[byte >> 4] as number;
    idText[to + 1] = HEX[byte & 15] as number;
    to += 2;
  }
}
