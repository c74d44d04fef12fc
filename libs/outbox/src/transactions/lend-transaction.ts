import { noTransaction } from './joined-transaction.js';

/**
 * Lends the transaction of an ORM for the time of its work: after `revoke` every use of what was lent throws
 * TransactionRequiredError. It is of the ORM's own class all the same.
 */
export function lendTransaction<Handle extends object>(handle: Handle): { lent: Handle; revoke(): void } {
  let ended = false;
  const lent = new Proxy(handle, {
    get(target, property) {
      if (ended) throw noTransaction('The transaction has ended, and its handle was used afterwards');
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  return {
    lent,
    revoke: () => {
      ended = true;
    },
  };
}
