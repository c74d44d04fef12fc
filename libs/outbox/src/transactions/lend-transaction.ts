import { HandleLentError } from '@waybill/kernel';
import { noTransaction } from './joined-transaction.js';

/** A transaction as it is lent to the work in it, and what takes it away again. */
export interface LentTransaction<Handle> {
  readonly lent: Handle;
  revoke(): void;
}

/** What of a handle its borrower may not use. */
export interface LendingTerms {
  /** For the error: `transaction`, `manager`. */
  readonly what: string;
  /** Members that would end the transaction, or give its connection away. */
  readonly refused: readonly string[];
}

/**
 * Lends the transaction of an ORM for the time of its work: after `revoke` every use of what was lent throws
 * TransactionRequiredError. It is of the ORM's own class all the same.
 */
export function lendTransaction<Handle extends object>(
  handle: Handle,
  { what, refused }: LendingTerms,
): LentTransaction<Handle> {
  let ended = false;
  const assertOpen = (): void => {
    if (ended) throw transactionEnded();
  };
  const lent = new Proxy(handle, {
    get(target, property) {
      assertOpen();
      if (typeof property === 'string' && refused.includes(property))
        return () => {
          throw new HandleLentError(what, property);
        };
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
    apply(target, self, args) {
      assertOpen();
      return Reflect.apply(target as () => unknown, self, args);
    },
  });
  return {
    lent,
    revoke: () => {
      ended = true;
    },
  };
}

/** Statements by which an ORM itself ends a transaction. */
const ENDING = /^\s*(commit|rollback)\b(?!\s+to\b)/i;

/**
 * Stands before the function by which an ORM sends statements of one transaction. A query that was built in time and is
 * sent late, as by a part of a handler that goes on when another part has failed, would otherwise run behind ROLLBACK and
 * commit by itself, or in the transaction of somebody else.
 */
export class StatementGate {
  #revoked = false;

  revoke(): void {
    this.#revoked = true;
  }

  /** @throws TransactionRequiredError for what comes late; the ORM's own COMMIT or ROLLBACK passes */
  assertMayPass(query: unknown): void {
    if (!this.#revoked) return;
    const text = typeof query === 'string' ? query : (query as { text?: unknown } | null | undefined)?.text;
    if (!(typeof text === 'string' && ENDING.test(text))) throw transactionEnded();
  }

  /** The same object, with these methods behind the gate: their first argument is the statement. */
  before<T extends object>(target: T, methods: readonly string[]): T {
    return new Proxy(target, {
      get: (object, property) => {
        const value: unknown = Reflect.get(object, property, object);
        if (typeof value !== 'function') return value;
        const method = (value as (...args: unknown[]) => unknown).bind(object);
        if (typeof property !== 'string' || !methods.includes(property)) return method;
        return (...args: unknown[]) => {
          this.assertMayPass(args[0]);
          return method(...args);
        };
      },
    });
  }
}

function transactionEnded(): Error {
  return noTransaction('The transaction has ended, and its handle was used afterwards');
}
