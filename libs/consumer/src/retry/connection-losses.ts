import { type ConnectionLoss } from '@waybill/kernel';
import { sqlStateOf } from '@waybill/kernel/internal';

/** The server ended the connection because of another one's crash: the record that ran on it is not at fault. */
const CRASH_OF_ANOTHER = '57P02';
/** The weight of a loss that other connections suffered as well: the message is hardly at fault. */
const LITTLE = 0.1;

/**
 * Records which records of a partition were in flight when their connection was lost, and how often that happened to
 * each while it ran alone. Such a record may have ended the connection itself, by a statement that crashes the server
 * or that a proxy cuts off. So it runs alone from then on, and is set aside when that happens repeatedly. Kept in
 * memory while this process owns the partition.
 */
export class ConnectionLosses {
  readonly #counts = new Map<number, number>();

  /** Whether a record has to run alone. */
  isSuspect(offset: number): boolean {
    return this.#counts.has(offset);
  }

  /**
   * How often a record has lost its connection while it ran alone; a loss counts less if others lost theirs as well.
   */
  count(offset: number): number {
    return this.#counts.get(offset) ?? 0;
  }

  /**
   * Records a loss.
   * @param elsewhere number of connections that were lost at about the same time without these records
   */
  note(offsets: readonly number[], error: unknown, elsewhere: readonly ConnectionLoss[]): void {
    if (sqlStateOf(error) === CRASH_OF_ANOTHER) return;
    const isCrash = elsewhere.some(({ code }) => code === CRASH_OF_ANOTHER);
    const weight = isCrash || elsewhere.length === 0 ? 1 : LITTLE;
    for (const offset of offsets) {
      const before = this.#counts.get(offset);
      // The first time, it shared the process with others.
      this.#counts.set(offset, before === undefined ? 0 : before + weight);
    }
  }

  /** The record has ended. */
  clear(offset: number): void {
    this.#counts.delete(offset);
  }
}
