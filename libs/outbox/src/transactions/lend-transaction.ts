import { HandleLentError } from '@waybill/kernel';
import { noTransaction } from './joined-transaction.js';

/** A lent transaction, and the function that revokes it. */
export interface LentTransaction<Handle> {
  readonly lent: Handle;
  revoke(): void;
}

/** Members of a handle that its borrower may not use. */
export interface LendingTerms {
  /** For the error: `transaction`, `manager`. */
  readonly what: string;
  /** Members that would end the transaction or release its connection. */
  readonly refused: readonly string[];
}

/**
 * Lends the transaction of an ORM for the duration of its work: after `revoke` every use of the lent handle throws
 * TransactionRequiredError. It is still an instance of the ORM's class.
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

/** Statements with which an ORM itself ends a transaction. */
const ENDING = /^\s*(commit|rollback)\b(?!\s+to\b)/i;

/**
 * Guards the function with which an ORM sends statements of one transaction. A query that was built in time and is
 * sent late, e.g. by a part of a handler that continues after another part has failed, would otherwise run after
 * ROLLBACK and commit by itself, or run in another transaction.
 */
export class StatementGate {
  #revoked = false;

  revoke(): void {
    this.#revoked = true;
  }

  /** @throws TransactionRequiredError for a late statement; the ORM's own COMMIT or ROLLBACK passes */
  assertMayPass(query: unknown): void {
    if (!this.#revoked) return;
    const text = typeof query === 'string' ? query : (query as { text?: unknown } | null | undefined)?.text;
    if (!(typeof text === 'string' && ENDING.test(text))) throw transactionEnded();
  }

  /** The same object, with these methods guarded: their first argument is the statement. */
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
