import { InvariantError, type PgConnection } from '@waybill/kernel';
import { copyInteger } from '@waybill/kernel/internal';
import { type MessageToCollect, type ReadyBatch, type Topics } from '@waybill/log';
import { BatchCollector, KnownTopics, type Rejection, rejectionOf } from '@waybill/log/internal';
import type { TimerCommand } from '@waybill/timer';
import { OUTBOX_COLUMNS, type OutboxRow, readOutboxRow, readRowId, readTopic } from './outbox-row.js';
import type { PassTrace } from './relay-trace.js';
import { timerCommandOf } from './timer-command-of.js';

/** The rows for a pass: those visible in `target` and not in `base`, of all ids or of a window. */
export interface Span {
  readonly base: string;
  readonly target: string;
  readonly window: { readonly after: number; readonly upTo: number } | undefined;
  /** The slots that have such rows, at least: the others need not be planned. Default: all. */
  readonly slots?: readonly number[] | undefined;
}

/** The rows that a pass has read, as record batches. */
export interface Difference {
  /** Sorted for appending. */
  readonly batches: ReadyBatch[];
  /** Timer changes, in row order. */
  readonly timers: readonly TimerCommand[];
  readonly moved: number;
  /** Rows read, the rejected among them. */
  readonly rows: number;
  /** Rows that cannot be moved and must be set aside. */
  readonly rejected: readonly RejectedRow[];
  /** Id of the first row read. */
  readonly firstId: number;
  /** Id of the last row in the batches or among the rejected. */
  readonly lastId: number;
  /** Id of the last row of the span, in the batches or not. */
  readonly endId: number;
  /** False if the pass was full before the span's end; rows after `lastId` are left for the next pass. */
  readonly complete: boolean;
}

/** A row of the outbox that can neither be appended nor change timers. */
export interface RejectedRow extends Rejection {
  readonly rowId: number;
  readonly topic: string;
  /** Null where the row cannot be read. */
  readonly messageId: string | null;
}

/** Options for reading one pass. */
export interface ReadOptions {
  readonly trace?: PassTrace | undefined;
  /** The most rows to read. Default: limited by bytes only. */
  readonly rowsMax?: number;
  /** Rows that the database has refused individually. */
  readonly blamed?: ReadonlyMap<number, Rejection>;
}

/** Options for reading a stored pass. */
export interface StoredReadOptions {
  readonly excluded: ReadonlySet<number>;
  /** If given, only messages of this topic are read. */
  readonly onlyOf?: string | undefined;
}

/** Limits of a {@link DifferenceReader}. */
export interface DifferenceLimits {
  readonly windowRows: number;
  readonly passBytes: number;
  readonly batchBytes: number;
}

/** An empty window makes the next twice as wide, up to this many ids, to cross gaps quickly. */
const WIDEST_WINDOW = 1_000_000;

/** Reads a difference of the outbox: messages for the log as record batches, scheduled ones as timers. */
export class DifferenceReader {
  readonly #collector: BatchCollector;
  readonly #known: KnownTopics;
  #width: number;

  constructor(
    private readonly topics: Topics,
    private readonly limits: DifferenceLimits,
  ) {
    this.#width = limits.windowRows;
    this.#collector = new BatchCollector(topics, limits.batchBytes);
    this.#known = new KnownTopics(topics);
  }

  /** Width of the next window, in ids. */
  get windowWidth(): number {
    return this.#width;
  }

  /** Rows that cannot be moved are left out and reported: they do not stop others. */
  async read(connection: PgConnection, span: Span, options: ReadOptions = {}): Promise<Difference> {
    const { trace, rowsMax = Infinity, blamed } = options;
    const timers: TimerCommand[] = [];
    const rejected: RejectedRow[] = [];
    let rows = 0;
    let bytes = 0;
    let firstId = 0;
    let lastId = 0;
    let endId = 0;
    let complete = true;
    await this.#known.ready();
    const batches = await this.#collector.collect((add) =>
      connection.copyOut(copyText(span), (row) => {
        endId = readRowId(row);
        if (!complete || (bytes + row.length > this.limits.passBytes && rows > 0) || rows >= rowsMax) {
          complete = false;
          return;
        }
        const rejection = blamed?.get(endId) ?? this.#take(row, add, timers, trace);
        if (rejection !== undefined) rejected.push({ ...describeRow(row), ...rejection });
        if (rows === 0) firstId = endId;
        lastId = endId;
        bytes += row.length;
        rows += 1;
      }),
    );
    this.#adaptWidth(rows, complete);
    return {
      batches,
      timers,
      rejected,
      moved: rows - rejected.length,
      rows,
      firstId,
      lastId,
      endId,
      complete,
    };
  }

  /** Reads the messages of a stored pass again, without those that are set aside, and counts all of its rows. */
  async readStored(
    connection: PgConnection,
    span: Span,
    { excluded, onlyOf }: StoredReadOptions,
  ): Promise<{ readonly batches: ReadyBatch[]; readonly rows: number }> {
    let rows = 0;
    await this.#known.ready();
    const batches = await this.#known.watch(() =>
      this.#collector.collect((add) =>
        connection.copyOut(copyText(span), (row) => {
          rows += 1;
          if (excluded.has(readRowId(row)) || (onlyOf !== undefined && readTopic(row) !== onlyOf)) return;
          const read = readOutboxRow(row);
          if (read.timerAction === null) add({ ...read, timestampMs: read.createdAtMs });
        }),
      ),
    );
    return { batches, rows };
  }

  /** The rows of a stored pass, by topic. */
  async topicsOfStored(
    connection: PgConnection,
    span: Span,
  ): Promise<ReadonlyMap<string, readonly number[]>> {
    const topics = new Map<string, number[]>();
    await connection.copyOut(copyText(span), (row) => {
      const read = readOutboxRow(row);
      if (read.timerAction !== null) return;
      topics.set(read.topic, [...(topics.get(read.topic) ?? []), read.rowId]);
    });
    return topics;
  }

  /** An error in a row's content concerns that row only. */
  #take(
    row: Buffer,
    add: (message: MessageToCollect) => void,
    timers: TimerCommand[],
    trace: PassTrace | undefined,
  ): Rejection | undefined {
    try {
      const read = readOutboxRow(row);
      if (trace !== undefined && read.headers !== null) trace.sees(read.headers);
      if (read.timerAction === null) add({ ...read, timestampMs: read.createdAtMs });
      else timers.push(this.#commandOf(read));
      return undefined;
    } catch (error) {
      return rejectionOf(error);
    }
  }

  #commandOf(row: OutboxRow): TimerCommand {
    const command = timerCommandOf(row);
    if (command.action === 'schedule') this.topics.place(row);
    return command;
  }

  #adaptWidth(rows: number, complete: boolean): void {
    const { windowRows } = this.limits;
    if (!complete) this.#width = Math.max(1, Math.min(this.#width, rows));
    else if (rows < this.#width / 4) this.#width = Math.min(WIDEST_WINDOW, this.#width * 2);
    else this.#width = Math.min(windowRows, this.#width * 2);
  }
}

function describeRow(row: Buffer): Pick<RejectedRow, 'rowId' | 'topic' | 'messageId'> {
  const rowId = readRowId(row);
  try {
    return { rowId, topic: readTopic(row), messageId: readOutboxRow(row).id.toString('latin1') };
  } catch {
    return { rowId, topic: readTopic(row), messageId: null };
  }
}

/**
 * The COPY of a span. A small difference uses the index on xid, and its result is sorted; a window uses the
 * index on id, and its conditions on xid are written so that they match no index. Each COPY is planned again, so that
 * slots without rows cost more than those with some.
 * COPY takes no parameters: the text contains only snapshots and integers, each checked.
 */
function copyText({ base, target, window, slots }: Span): string {
  const a = checkedSnapshot(base);
  const b = checkedSnapshot(target);
  const inSlots =
    slots === undefined ? '' : `slot = any ('{${slots.map(copyInteger).join(',')}}'::smallint[]) and `;
  if (window !== undefined) {
    return `copy (select ${OUTBOX_COLUMNS} from :schema.outbox
       where ${inSlots}id > ${copyInteger(window.after)} and id <= ${copyInteger(window.upTo)}
         and pg_catalog.pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot)
         and not pg_catalog.pg_visible_in_snapshot(xid, '${a.text}'::pg_snapshot)
       order by id) to stdout (format binary)`;
  }
  const inProgress =
    a.xip === ''
      ? ''
      : `union all select ${OUTBOX_COLUMNS} from :schema.outbox
           where ${inSlots}xid = any ('{${a.xip}}'::xid8[]) and pg_catalog.pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot)`;
  return `copy (with difference as materialized (
       select ${OUTBOX_COLUMNS} from :schema.outbox
        where ${inSlots}xid >= '${a.xmax}'::xid8 and pg_catalog.pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot) ${inProgress})
     select * from difference order by id) to stdout (format binary)`;
}

function checkedSnapshot(text: string): { text: string; xmax: string; xip: string } {
  const match = /^(\d+):(\d+):((?:\d+(?:,\d+)*)?)$/.exec(text);
  if (match === null) throw new InvariantError('the cursor is not a valid snapshot');
  return { text, xmax: match[2] as string, xip: match[3] as string };
}
