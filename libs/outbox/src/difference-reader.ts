import { InvariantError, type PgConnection, TopicUnknownError } from '@waybill/kernel';
import {
  Partitioner,
  type ReadyBatch,
  RecordBatchBuilder,
  type RecordHeader,
  sortForAppend,
  type Topic,
  type Topics,
} from '@waybill/log';
import { MESSAGE_ID_HEADER } from './message.js';
import { readOutboxRow, readRowId } from './outbox-row.js';

/** What a pass reads: the rows visible in `target` and not in `base`, of all ids or of a window of them. */
export interface Span {
  readonly base: string;
  readonly target: string;
  readonly window: { readonly after: number; readonly upTo: number } | undefined;
}

/** What a pass has read, as record batches. */
export interface Difference {
  /** Sorted for appending. */
  readonly batches: readonly ReadyBatch[];
  readonly moved: number;
  /** Id of the last row that is in the batches. */
  readonly lastId: number;
  /** Id of the last row of the span, whether it is in the batches or not. */
  readonly endId: number;
  /** False when the pass was full before the span's end; what lies behind `lastId` is for the next pass. */
  readonly complete: boolean;
}

/** Limits of a {@link DifferenceReader}. */
export interface DifferenceLimits {
  readonly windowRows: number;
  readonly passBytes: number;
  readonly batchBytes: number;
}

/** A window that finds nothing makes the next twice as wide, up to this many ids: gaps are crossed quickly. */
const WIDEST_WINDOW = 1_000_000;

const MESSAGE_ID_KEY = Buffer.from(MESSAGE_ID_HEADER);

/** Reads a difference of the outbox and encodes it, row by row as it arrives, into one batch builder a partition. */
export class DifferenceReader {
  readonly #partitioner = new Partitioner();
  #builders = new Map<number, RecordBatchBuilder>();
  #spare: RecordBatchBuilder[] = [];
  #ready: ReadyBatch[] = [];
  #width: number;
  #listed = false;

  constructor(
    private readonly topics: Topics,
    private readonly limits: DifferenceLimits,
  ) {
    this.#width = limits.windowRows;
  }

  /** Ids that the next window spans. */
  get windowWidth(): number {
    return this.#width;
  }

  /** @throws TopicUnknownError when a row names a topic that is not in the database */
  async read(connection: PgConnection, span: Span): Promise<Difference> {
    await this.#knowTopics();
    try {
      return await this.#read(connection, span);
    } catch (error) {
      // The row's topic may have been created after the list was read: read it again for the next pass.
      if (error instanceof TopicUnknownError) await this.topics.list();
      throw error;
    } finally {
      for (const builder of this.#builders.values()) this.#putBack(builder);
      this.#builders = new Map();
      this.#ready = [];
    }
  }

  async #read(connection: PgConnection, span: Span): Promise<Difference> {
    let moved = 0;
    let bytes = 0;
    let lastId = 0;
    let endId = 0;
    let complete = true;
    await connection.copyOut(copyText(span), (row) => {
      endId = readRowId(row);
      if (!complete || (bytes + row.length > this.limits.passBytes && moved > 0)) {
        complete = false;
        return;
      }
      lastId = this.#add(row);
      bytes += row.length;
      moved += 1;
    });
    for (const [partitionId, builder] of this.#builders) this.#finish(partitionId, builder);
    this.#partitioner.nextBatch();
    this.#adaptWidth(moved, complete);
    return { batches: sortForAppend(this.#ready), moved, lastId, endId, complete };
  }

  #add(row: Buffer): number {
    const message = readOutboxRow(row);
    const topic = this.topics.peek(message.topic);
    if (topic === undefined) throw new TopicUnknownError(message.topic);
    this.#partitioner.know(message.topic);
    const partitionId = this.#partitionOf(topic, message.partition, message.key);
    const headers: RecordHeader[] = [{ key: MESSAGE_ID_KEY, value: message.id }];
    if (message.headers !== null) addHeaders(headers, message.headers);
    const builder = this.#builderOf(partitionId, row.length);
    builder.append(message.createdAtMs, message.key, message.payload, headers);
    return message.rowId;
  }

  #partitionOf(topic: Topic, explicit: number | null, key: Buffer | null): number {
    const number = explicit ?? this.#partitioner.choose(topic.name, key, topic.partitionIds.length);
    const partitionId = topic.partitionIds[number];
    if (partitionId === undefined)
      throw new InvariantError(`topic ${topic.name} has lost its partition ${number}`);
    return partitionId;
  }

  #builderOf(partitionId: number, rowBytes: number): RecordBatchBuilder {
    let builder = this.#builders.get(partitionId);
    if (builder !== undefined && builder.byteLength + rowBytes > this.limits.batchBytes) {
      this.#finish(partitionId, builder);
      builder.reset();
    }
    if (builder === undefined) {
      builder = this.#spare.pop() ?? new RecordBatchBuilder(64 * 1024);
      this.#builders.set(partitionId, builder);
    }
    return builder;
  }

  #finish(partitionId: number, builder: RecordBatchBuilder): void {
    if (builder.count === 0) return;
    this.#ready.push({
      partitionId,
      recordCount: builder.count,
      maxTimestampMs: builder.maxTimestamp,
      baseSequence: -1,
      data: builder.build(),
    });
  }

  #putBack(builder: RecordBatchBuilder): void {
    builder.reset();
    if (this.#spare.length < 64) this.#spare.push(builder);
  }

  #adaptWidth(moved: number, complete: boolean): void {
    const { windowRows } = this.limits;
    if (!complete) this.#width = Math.max(1, Math.min(this.#width, moved));
    else if (moved < this.#width / 4) this.#width = Math.min(WIDEST_WINDOW, this.#width * 2);
    else if (this.#width > windowRows) this.#width = windowRows;
  }

  async #knowTopics(): Promise<void> {
    if (!this.#listed) await this.topics.list();
    this.#listed = true;
  }
}

function addHeaders(headers: RecordHeader[], json: string): void {
  const parsed = JSON.parse(json) as Record<string, unknown>;
  for (const [key, value] of Object.entries(parsed)) {
    headers.push({ key, value: value === null ? null : Buffer.from(textOf(value)) });
  }
}

/** Headers published in SQL may be any JSON; texts go as they are, the rest as JSON. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const COLUMNS = 'id, topic, partition_number, key, message_id, headers, payload, created_at';

/**
 * The COPY of a span. A small difference goes by the index on xid, and its result is sorted; a window goes by the
 * index on id, and its conditions on xid are written so that no index fits them.
 * COPY takes no parameters: only snapshots and integers stand in the text, each checked.
 */
function copyText({ base, target, window }: Span): string {
  const a = checkedSnapshot(base);
  const b = checkedSnapshot(target);
  if (window !== undefined) {
    return `copy (select ${COLUMNS} from :schema.outbox
       where id > ${checkedInteger(window.after)} and id <= ${checkedInteger(window.upTo)}
         and pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot)
         and not pg_visible_in_snapshot(xid, '${a.text}'::pg_snapshot)
       order by id) to stdout (format binary)`;
  }
  const inProgress =
    a.xip === ''
      ? ''
      : `union all select ${COLUMNS} from :schema.outbox
           where xid = any ('{${a.xip}}'::xid8[]) and pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot)`;
  return `copy (with difference as materialized (
       select ${COLUMNS} from :schema.outbox
        where xid >= '${a.xmax}'::xid8 and pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot) ${inProgress})
     select * from difference order by id) to stdout (format binary)`;
}

function checkedSnapshot(text: string): { text: string; xmax: string; xip: string } {
  const match = /^(\d+):(\d+):((?:\d+(?:,\d+)*)?)$/.exec(text);
  if (match === null) throw new InvariantError('the cursor holds something that is no snapshot');
  return { text, xmax: match[2] as string, xip: match[3] as string };
}

function checkedInteger(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new InvariantError(`${value} is no id of a row`);
  return String(value);
}
