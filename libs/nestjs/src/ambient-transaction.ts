import { AsyncLocalStorage } from 'node:async_hooks';
import type { TransactionHandle } from '@waybill/outbox';

/** The transaction that the code under way belongs to, and the instance whose database it is in. */
interface Ambient {
  readonly instance: string;
  readonly tx: TransactionHandle;
}

const ambient = new AsyncLocalStorage<Ambient>();

/** Runs `work` so that what it emits joins the transaction `tx`. */
export function withinTransaction<T>(instance: string, tx: TransactionHandle, work: () => T): T {
  return ambient.run({ instance, tx }, work);
}

/** The open transaction of an instance that the caller runs in; undefined when it runs in none. */
export function ambientTransaction(instance: string): TransactionHandle | undefined {
  const found = ambient.getStore();
  return found?.instance === instance ? found.tx : undefined;
}
