/** The part of a transaction that a savepoint can roll back: each has its own effects. */
export interface Unit {
  readonly transaction: Transaction;
  isRolledBack: boolean;
}

/** How far a transaction is. A prepared one survives its connection. */
export type TransactionState = 'open' | 'prepared' | 'committed' | 'rolled-back';

/** A model of a transaction of PostgreSQL at READ COMMITTED. */
export class Transaction {
  state: TransactionState = 'open';
  /** Assigned with its first write, as in PostgreSQL. */
  xid: number | undefined;
  /** A statement has failed: it can only be rolled back. */
  hasFailed = false;
  /** What the machine's rules want to know about it, by topic. */
  readonly facts = new Map<string, unknown[]>();
  readonly #units: Unit[] = [{ transaction: this, isRolledBack: false }];

  /** @param owner the process that opened it, for the trace */
  constructor(readonly owner: string) {}

  /** The unit that writes at present. */
  get unit(): Unit {
    return this.#units.at(-1) as Unit;
  }

  /** Sets a savepoint. */
  savepoint(): void {
    this.#units.push({ transaction: this, isRolledBack: false });
  }

  /** Undoes what was written since the last savepoint, which stays. */
  rollBackToSavepoint(): void {
    this.unit.isRolledBack = true;
    this.#units.pop();
    this.savepoint();
  }

  /** Notes something for the rules; it counts once the transaction commits. */
  fact(topic: string, value: unknown): void {
    const facts = this.facts.get(topic);
    if (facts === undefined) this.facts.set(topic, [value]);
    else facts.push(value);
  }
}
