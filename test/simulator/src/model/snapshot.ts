import type { Transaction } from './transaction.js';

/** A model of pg_snapshot: which transactions had ended when it was taken. */
export class Snapshot {
  constructor(
    readonly xmin: number,
    /** One more than the highest transaction id that had ended. */
    readonly xmax: number,
    readonly xip: ReadonlySet<number>,
  ) {}

  /** Whether it sees what this transaction has committed. */
  sees(transaction: Transaction): boolean {
    const { xid } = transaction;
    return xid !== undefined && this.hasEnded(xid) && transaction.state === 'committed';
  }

  /** `pg_visible_in_snapshot`: whether a transaction had ended; it does not tell how. */
  hasEnded(xid: number): boolean {
    return xid < this.xmax && !this.xip.has(xid);
  }

  /** As PostgreSQL writes it: `xmin:xmax:xip`. */
  get text(): string {
    return `${this.xmin}:${this.xmax}:${[...this.xip].join(',')}`;
  }

  /** Reads the text form. */
  static parse(text: string): Snapshot {
    const [xmin = '0', xmax = '0', xip = ''] = text.split(':');
    return new Snapshot(Number(xmin), Number(xmax), new Set(xip === '' ? [] : xip.split(',').map(Number)));
  }
}
