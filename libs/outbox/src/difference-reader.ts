import { InvariantError, type PgConnection } from '@waybill/kernel';
import { BatchCollector, type MessageToCollect, type ReadyBatch, type Topics } from '@waybill/log';
import type { TimerCommand } from '@waybill/schedule';
import { OUTBOX_COLUMNS, type OutboxRow, readOutboxRow, readRowId } from './outbox-row.js';
import type { PassTrace } from './relay-trace.js';
import { timerCommandOf } from './timer-row.js';

/** What a pass reads: the rows visible in `target` and not in `base`, of all ids or of a window of them. */
export interface Span {
  readonly base: string;
  readonly target: string;
  readonly window: { readonly after: number; readonly upTo: number } | undefined;
}

/** What a pass has read, as record batches. */
export interface Difference {
  /** Sorted for appending. */
  readonly batches: ReadyBatch[];
  /** What is to be done to timers, in order of the rows. */
  readonly timers: readonly TimerCommand[];
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

/** Reads a difference of the outbox: messages for the log as record batches, those for later as timers. */
export class DifferenceReader {
  readonly #collector: BatchCollector;
  #width: number;

  constructor(
    topics: Topics,
    private readonly limits: DifferenceLimits,
  ) {
    this.#width = limits.windowRows;
    this.#collector = new BatchCollector(topics, limits.batchBytes);
  }

  /** Ids that the next window spans. */
  get windowWidth(): number {
    return this.#width;
  }

  /** @throws TopicUnknownError when a row names a topic that is not in the database */
  async read(connection: PgConnection, span: Span, trace?: PassTrace): Promise<Difference> {
    const timers: TimerCommand[] = [];
    let moved = 0;
    let bytes = 0;
    let lastId = 0;
    let endId = 0;
    let complete = true;
    const batches = await this.#collector.collect((add) =>
      connection.copyOut(copyText(span), (row) => {
        endId = readRowId(row);
        if (!complete || (bytes + row.length > this.limits.passBytes && moved > 0)) {
          complete = false;
          return;
        }
        const read = readOutboxRow(row);
        if (trace !== undefined && read.headers !== null) trace.sees(read.headers);
        lastId = place(read, add, timers);
        bytes += row.length;
        moved += 1;
      }),
    );
    this.#adaptWidth(moved, complete);
    return { batches, timers, moved, lastId, endId, complete };
  }

  #adaptWidth(moved: number, complete: boolean): void {
    const { windowRows } = this.limits;
    if (!complete) this.#width = Math.max(1, Math.min(this.#width, moved));
    else if (moved < this.#width / 4) this.#width = Math.min(WIDEST_WINDOW, this.#width * 2);
    else if (this.#width > windowRows) this.#width = windowRows;
  }
}

function place(row: OutboxRow, add: (message: MessageToCollect) => void, timers: TimerCommand[]): number {
  if (row.timerAction === null) add({ ...row, timestampMs: row.createdAtMs });
  else timers.push(timerCommandOf(row));
  return row.rowId;
}

/**
 * The COPY of a span. A small difference goes by the index on xid, and its result is sorted; a window goes by the
 * index on id, and its conditions on xid are written so that no index fits them.
 * COPY takes no parameters: only snapshots and integers stand in the text, each checked.
 */
function copyText({ base, target, window }: Span): string {
  const a = checkedSnapshot(base);
  const b = checkedSnapshot(target);
  if (window !== undefined) {
    return `copy (select ${OUTBOX_COLUMNS} from :schema.outbox
       where id > ${checkedInteger(window.after)} and id <= ${checkedInteger(window.upTo)}
         and pg_catalog.pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot)
         and not pg_catalog.pg_visible_in_snapshot(xid, '${a.text}'::pg_snapshot)
       order by id) to stdout (format binary)`;
  }
  const inProgress =
    a.xip === ''
      ? ''
      : `union all select ${OUTBOX_COLUMNS} from :schema.outbox
           where xid = any ('{${a.xip}}'::xid8[]) and pg_catalog.pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot)`;
  return `copy (with difference as materialized (
       select ${OUTBOX_COLUMNS} from :schema.outbox
        where xid >= '${a.xmax}'::xid8 and pg_catalog.pg_visible_in_snapshot(xid, '${b.text}'::pg_snapshot) ${inProgress})
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
