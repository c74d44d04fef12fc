import type { World } from '../scheduler/world.js';
import type { Transaction } from './transaction.js';

/** How a lock is held: several may share it, one may have it alone. */
export type LockMode = 'share' | 'exclusive';

interface Waiter {
  readonly transaction: Transaction;
  readonly mode: LockMode;
  readonly grant: () => void;
}

interface Lock {
  readonly holders: Map<Transaction, LockMode>;
  readonly waiters: Waiter[];
}

/** A model of row, table and advisory locks, by name; held until their transaction ends. */
export class Locks {
  readonly #locks = new Map<string, Lock>();

  constructor(private readonly world: World) {}

  /** Takes a lock if it is free now. */
  tryTake(name: string, transaction: Transaction, mode: LockMode): boolean {
    const lock = this.#lockOf(name);
    if (!isFree(lock, transaction, mode)) return false;
    hold(lock, transaction, mode);
    return true;
  }

  /** Takes a lock, waiting for it; to be followed by a new snapshot. */
  async take(name: string, transaction: Transaction, mode: LockMode): Promise<void> {
    const lock = this.#lockOf(name);
    if (lock.waiters.length === 0 && isFree(lock, transaction, mode)) return hold(lock, transaction, mode);
    await new Promise<void>((resolve) => {
      lock.waiters.push({ transaction, mode, grant: resolve });
    });
    await this.world.step(`${transaction.owner} got the lock ${name}`);
  }

  /** Releases what a transaction holds and waits for. */
  release(transaction: Transaction): void {
    for (const lock of this.#locks.values()) {
      const waits = lock.waiters.filter((waiter) => waiter.transaction !== transaction);
      if (!lock.holders.delete(transaction) && waits.length === lock.waiters.length) continue;
      lock.waiters.splice(0, lock.waiters.length, ...waits);
      for (let next = lock.waiters[0]; next !== undefined; next = lock.waiters[0]) {
        if (!isFree(lock, next.transaction, next.mode)) break;
        lock.waiters.shift();
        hold(lock, next.transaction, next.mode);
        next.grant();
      }
    }
  }

  #lockOf(name: string): Lock {
    let lock = this.#locks.get(name);
    if (lock === undefined) {
      lock = { holders: new Map(), waiters: [] };
      this.#locks.set(name, lock);
    }
    return lock;
  }
}

function isFree({ holders }: Lock, transaction: Transaction, mode: LockMode): boolean {
  for (const [holder, held] of holders)
    if (holder !== transaction && (mode === 'exclusive' || held === 'exclusive')) return false;
  return true;
}

function hold({ holders }: Lock, transaction: Transaction, mode: LockMode): void {
  if (holders.get(transaction) !== 'exclusive') holders.set(transaction, mode);
}
