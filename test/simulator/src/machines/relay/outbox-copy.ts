import { Snapshot } from '../../model/snapshot.js';

/** A row of the model's outbox. */
export interface OutboxModelRow {
  /** From the outbox's sequence, when it is inserted. */
  readonly id: number;
  /** The id of its whole transaction, as pg_current_xact_id() gives it, also behind a savepoint. */
  readonly xid: number;
  readonly key: string;
  /** A number by which the rules know it. */
  readonly message: number;
  readonly slot: number;
  readonly atMs: number;
}

/**
 * Evaluates the conditions of the relay's COPY (`copyText` in difference-reader.ts) on a row: the parts of its text that
 * `union all` joins, each a list of conditions joined by `and`.
 */
export function selects(text: string, row: OutboxModelRow): boolean {
  return text
    .split('union all')
    .some((part) => conditionsOf(part).every((condition) => holds(condition, row)));
}

function conditionsOf(part: string): string[] {
  const where = /\bwhere\b([\s\S]*?)(?:\border by\b|\)\s*$|\)\s*select\b|$)/.exec(part)?.[1] ?? '';
  return where.split(/\band\b/).map((condition) => condition.trim());
}

function holds(condition: string, { id, xid, slot }: OutboxModelRow): boolean {
  const seen = /^(not )?pg_catalog\.pg_visible_in_snapshot\(xid, '([\d:,]+)'/.exec(condition);
  if (seen !== null) return Snapshot.parse(seen[2] as string).hasEnded(xid) === (seen[1] === undefined);
  const listed = /^xid = any \('\{([\d,]*)\}'/.exec(condition);
  if (listed !== null) return (listed[1] as string).split(',').map(Number).includes(xid);
  const inSlots = /^slot = any \('\{([\d,]*)\}'::smallint\[\]\)$/.exec(condition);
  if (inSlots !== null) return (inSlots[1] as string).split(',').map(Number).includes(slot);
  const compared = /^(xid|id) (>=|>|<=) '?(\d+)'?(?:::xid8)?\)?$/.exec(condition);
  if (compared === null) throw new Error(`the model cannot evaluate ${JSON.stringify(condition)}`);
  const [, column, operator, number] = compared;
  const value = column === 'xid' ? xid : id;
  const bound = Number(number);
  return operator === '>=' ? value >= bound : operator === '>' ? value > bound : value <= bound;
}

const TOPIC = Buffer.from('orders');
/** Makes a few messages fill a pass of the least `passBytes`. */
const PAYLOAD = Buffer.alloc(300, 'x');
const POSTGRES_EPOCH_MS = 946_684_800_000;

/** A row as COPY BINARY sends it, in the columns that the relay reads. */
export function binaryRow({ id, key, message, atMs }: OutboxModelRow): Buffer {
  const messageId = Buffer.alloc(16);
  messageId.writeUInt32BE(message, 12);
  const fields = [
    int64(id),
    TOPIC,
    null,
    Buffer.from(key),
    messageId,
    null,
    PAYLOAD,
    int64((atMs - POSTGRES_EPOCH_MS) * 1_000),
    null,
    null,
    null,
    null,
    null,
    null,
  ];
  const count = Buffer.alloc(2);
  count.writeInt16BE(fields.length);
  return Buffer.concat([count, ...fields.flatMap(fieldOf)]);
}

function fieldOf(value: Buffer | null): Buffer[] {
  const length = Buffer.alloc(4);
  length.writeInt32BE(value?.length ?? -1);
  return value === null ? [length] : [length, value];
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
