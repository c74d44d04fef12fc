import type { Snapshot } from './snapshot.js';
import type { Transaction, Unit } from './transaction.js';

/** One version of a row. */
export interface Version<Row> {
  readonly row: Row;
  readonly by: Unit;
  /** Who deleted it, or replaced it by a newer version. */
  gone: Unit | undefined;
}

/** A model of a table: rows have versions, and a snapshot decides which of them a statement sees. */
export class Table<Row> {
  readonly #versions: Version<Row>[] = [];

  insert(transaction: Transaction, row: Row): void {
    this.#versions.push({ row, by: transaction.unit, gone: undefined });
  }

  /** Deletes a row, whose lock the caller holds. */
  remove(transaction: Transaction, version: Version<Row>): void {
    version.gone = transaction.unit;
  }

  /** Updates a row, whose lock the caller holds. */
  replace(transaction: Transaction, version: Version<Row>, change: Partial<Row>): Row {
    const row = { ...version.row, ...change };
    this.remove(transaction, version);
    this.insert(transaction, row);
    return row;
  }

  /** The versions that a statement with this snapshot sees in its transaction. */
  seen(snapshot: Snapshot, transaction: Transaction | undefined): Version<Row>[] {
    const isDone = (unit: Unit | undefined): boolean =>
      unit !== undefined &&
      !unit.isRolledBack &&
      (unit.transaction === transaction || snapshot.sees(unit.transaction));
    return this.#versions.filter(({ by, gone }) => isDone(by) && !isDone(gone));
  }

  /** What is committed now, for rules. */
  get committed(): Row[] {
    const isDone = (unit: Unit | undefined): boolean =>
      unit !== undefined && !unit.isRolledBack && unit.transaction.state === 'committed';
    return this.#versions.filter(({ by, gone }) => isDone(by) && !isDone(gone)).map(({ row }) => row);
  }
}
