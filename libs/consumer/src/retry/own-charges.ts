interface OwnCharge {
  /** Charges that were stored before this process's own. */
  readonly before: number;
  /** How many of its own it writes. */
  readonly wanted: number;
}

/**
 * The charges of unfinished records that this process has begun to write since it acquired a partition. The response to
 * such a write may be lost; once the lane is reopened under a new epoch, what is stored shows whether the charge is. So a
 * process charges a record once, however often its connection is lost.
 */
export class OwnCharges {
  readonly #charges = new Map<number, OwnCharge>();

  /** Whether this process has begun to charge a record. */
  has(offset: number): boolean {
    return this.#charges.has(offset);
  }

  /**
   * How many charges of a record are still to be written; to be called before they are.
   * @param stored its charges in the database when the lane was opened
   * @param wanted how many this process is to write, if it has not begun to
   */
  missing(offset: number, stored: number, wanted: number): number {
    let own = this.#charges.get(offset);
    if (own === undefined || stored < own.before) {
      own = { before: stored, wanted };
      this.#charges.set(offset, own);
    }
    return Math.max(0, own.before + own.wanted - stored);
  }

  /** The record has ended, or an attempt has without a crash. */
  clear(offset: number): void {
    this.#charges.delete(offset);
  }
}
