import type { BoundStatement } from '@waybill/kernel';
import type { World } from '../scheduler/world.js';
import { Locks } from './locks.js';
import { Snapshot } from './snapshot.js';
import type { Table } from './table.js';
import { Transaction } from './transaction.js';

/** Runs a statement of a machine's model. Like a statement of PL/pgSQL, it takes a snapshot for each of its reads. */
export type ModelStatement = (
  transaction: Transaction,
  ...params: never[]
) => Promise<readonly unknown[]> | readonly unknown[];

/** An error with a SQLSTATE, as the server reports it. */
export class SqlError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * A small model of a PostgreSQL server, with the semantics that the product's SQL relies on: transaction ids that are
 * assigned at the first write, snapshots (xmin, xmax, xip), READ COMMITTED, savepoints, locks that are held to the end
 * of the transaction, prepared transactions. Statements are ports of the product's `.sql` files, by name.
 */
export class ModelServer {
  readonly locks: Locks;
  /** Answers COPY … TO STDOUT with binary rows. */
  copy: (transaction: Transaction, text: string) => Promise<readonly Buffer[]> = async () => [];
  /** Called for each transaction right after its commit: the place for rules. */
  onCommit: (transaction: Transaction) => void = () => {};
  readonly #statements = new Map<string, ModelStatement>([
    ['ask-alive', () => []],
    ['delivery-savepoint', (transaction) => (transaction.savepoint(), [])],
    ['delivery-rollback-to-savepoint', (transaction) => (transaction.rollBackToSavepoint(), [])],
  ]);
  readonly #running = new Map<number, Transaction>();
  #nextXid = 100;
  #latestEnded = 99;

  constructor(readonly world: World) {
    this.locks = new Locks(world);
  }

  /** Adds statements by their names. */
  define(statements: Readonly<Record<string, ModelStatement>>): void {
    for (const [name, run] of Object.entries(statements)) this.#statements.set(name, run);
  }

  /** A new snapshot of what is committed now. */
  snapshot(): Snapshot {
    const xmax = this.#latestEnded + 1;
    const xip = [...this.#running.keys()].filter((xid) => xid < xmax);
    return new Snapshot(Math.min(xmax, ...xip), xmax, new Set(xip));
  }

  /** The rows that a statement sees when it starts now. */
  rows<Row>(table: Table<Row>, transaction: Transaction): Row[] {
    return table.seen(this.snapshot(), transaction).map(({ row }) => row);
  }

  /** The transaction's id, assigned if it has none. */
  xidOf(transaction: Transaction): number {
    if (transaction.xid === undefined) {
      transaction.xid = this.#nextXid;
      this.#nextXid += 1;
      this.#running.set(transaction.xid, transaction);
    }
    return transaction.xid;
  }

  /** Runs statements in a transaction; after an error it can only be rolled back. */
  async execute(transaction: Transaction, statements: readonly BoundStatement[]): Promise<unknown[][]> {
    const results: unknown[][] = [];
    for (const { statement, params } of statements) {
      if (transaction.state !== 'open') throw new SqlError('08006', 'the session has ended');
      if (transaction.hasFailed) throw new SqlError('25P02', 'the transaction has failed');
      const run = this.#statements.get(statement.name);
      if (run === undefined) throw new Error(`the model has no statement ${statement.name}`);
      try {
        results.push([...(await run(transaction, ...(params as never[])))]);
      } catch (error) {
        transaction.hasFailed = true;
        throw error;
      }
      // Its session may have been ended while it waited for a lock.
      if ((transaction.state as string) === 'rolled-back')
        throw new SqlError('57P01', 'the session was ended');
    }
    return results;
  }

  commit(transaction: Transaction): void {
    if (transaction.state === 'committed') return;
    if (transaction.hasFailed || transaction.state === 'rolled-back') return this.rollback(transaction);
    this.#end(transaction, 'committed');
    this.onCommit(transaction);
  }

  rollback(transaction: Transaction): void {
    if (transaction.state === 'open' || transaction.state === 'prepared')
      this.#end(transaction, 'rolled-back');
  }

  /** PREPARE TRANSACTION: it keeps its locks and its id, and ends later, whatever becomes of its session. */
  prepare(transaction: Transaction): void {
    transaction.state = 'prepared';
  }

  #end(transaction: Transaction, state: 'committed' | 'rolled-back'): void {
    transaction.state = state;
    const { xid } = transaction;
    if (xid !== undefined) {
      this.#running.delete(xid);
      this.#latestEnded = Math.max(this.#latestEnded, xid);
    }
    this.locks.release(transaction);
  }

  /** Begins a transaction. @param owner its process, for the trace */
  begin(owner: string): Transaction {
    return new Transaction(owner);
  }
}
