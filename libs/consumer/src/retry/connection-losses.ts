import { type ConnectionLoss } from '@waybill/kernel';
import { sqlStateOf } from '@waybill/kernel/internal';

/** The server ended the connection because of the crash of another: what ran on this one is not to blame. */
const CRASH_OF_ANOTHER = '57P02';
/** What a loss counts that other connections suffered as well: it hardly was the message's doing. */
const LITTLE = 0.1;

/**
 * Which records of a partition were under way when their connection was lost, and how often that happened to each alone.
 * Such a record may have ended the connection itself: by a statement that crashes the server, or one that a proxy cuts off.
 * So it runs alone from then on, and is given up when that happens again and again. Kept in memory, for as long as this
 * process owns the partition.
 */
export class ConnectionLosses {
  readonly #counts = new Map<number, number>();

  /** Whether a record has to run alone. */
  isSuspect(offset: number): boolean {
    return this.#counts.has(offset);
  }

  /** How often a record has lost its connection when it ran alone; less where others lost theirs as well. */
  count(offset: number): number {
    return this.#counts.get(offset) ?? 0;
  }

  /**
   * Takes note of a loss.
   * @param elsewhere connections that were lost at about the same time, with nothing of these records on them
   */
  note(offsets: readonly number[], error: unknown, elsewhere: readonly ConnectionLoss[]): void {
    if (sqlStateOf(error) === CRASH_OF_ANOTHER) return;
    const isCrash = elsewhere.some(({ code }) => code === CRASH_OF_ANOTHER);
    const weight = isCrash || elsewhere.length === 0 ? 1 : LITTLE;
    for (const offset of offsets) {
      const before = this.#counts.get(offset);
      // The first time it shared the process with others.
      this.#counts.set(offset, before === undefined ? 0 : before + weight);
    }
  }

  /** The record has come to its end. */
  clear(offset: number): void {
    this.#counts.delete(offset);
  }
}
