import { OffsetOutOfRangeError } from '@waybill/kernel';
import type { Fetched, LogEngine, LogHistory } from '@waybill/log';

type Log = Pick<LogEngine, 'identity' | 'offsets' | 'fetch' | 'checksumsBelow'>;

/**
 * Where a process reads its replies. It has no group, and so no stored position: it begins at the end. Where the log went back,
 * or retention was faster, it reads again from the start of the partition: a reply without a request that waits is ignored, and one
 * that stands below the old place would never be read.
 */
export class ReplyPlace {
  /** Of the batch that holds the record before the offset; undefined if none was read. */
  #checksum: number | undefined;

  private constructor(
    private readonly log: Log,
    private readonly partitionId: number,
    private offset: number,
    private history: LogHistory,
  ) {}

  static async atEnd(log: Log, partitionId: number): Promise<ReplyPlace> {
    const history = await log.identity();
    const { endOffset = 0 } = (await log.offsets([partitionId])).get(partitionId) ?? {};
    return new ReplyPlace(log, partitionId, endOffset, history);
  }

  /** The next offset to read. */
  get next(): number {
    return this.offset;
  }

  /** Notes that the records below an offset are read. @param checksum of the batch that holds the one before it */
  passed(offset: number, checksum: number): void {
    this.offset = offset;
    this.#checksum = checksum;
  }

  /** Fetches what follows, if the log still holds what was read. */
  async fetch(): Promise<Fetched> {
    const { partitionId, offset } = this;
    let fetched: Fetched;
    try {
      fetched = await this.log.fetch([{ partitionId, offset }]);
    } catch (error) {
      if (!(error instanceof OffsetOutOfRangeError)) throw error;
      return this.#fromStart(await this.log.identity());
    }
    const { logEpoch, incarnation } = fetched.history;
    if (logEpoch === this.history.logEpoch && incarnation === this.history.incarnation) return fetched;
    if (logEpoch !== this.history.logEpoch || !(await this.#isThere()))
      return this.#fromStart(fetched.history);
    this.history = fetched.history;
    return fetched;
  }

  async #isThere(): Promise<boolean> {
    const { partitionId, offset } = this;
    const checksum = this.#checksum;
    const { endOffset = offset } = (await this.log.offsets([partitionId])).get(partitionId) ?? {};
    if (offset > endOffset) return false;
    if (checksum === undefined) return true;
    const there = (await this.log.checksumsBelow([{ partitionId, offset }])).get(partitionId);
    return there === undefined || there === checksum;
  }

  async #fromStart(history: LogHistory): Promise<Fetched> {
    const { startOffset = 0 } = (await this.log.offsets([this.partitionId])).get(this.partitionId) ?? {};
    this.history = history;
    this.offset = startOffset;
    this.#checksum = undefined;
    return { batches: [], mayHaveMore: true, history };
  }
}
