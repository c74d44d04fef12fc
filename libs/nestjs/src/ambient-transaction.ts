import { AsyncLocalStorage } from 'node:async_hooks';
import type { TransactionHandle } from '@waybill/outbox';
import { enterHost, type TransactionHostLike } from './transaction-host.js';

/** Where an application keeps the transaction that its code runs in. */
export interface AmbientOptions {
  /** The open transaction that the caller runs in; undefined when it runs in none. */
  readonly ambient?: () => unknown;
  /** The `TransactionHost` of `@nestjs-cls/transactional`, whose adapter is wrapped in {@link joinDeliveries}. */
  readonly transactionHost?: TransactionHostLike;
}

/** A transaction that Waybill has opened. */
interface Opened {
  readonly tx: TransactionHandle;
  /** What the application called its transaction when this one was opened. */
  readonly outer: unknown;
}

/** Knows the transaction of one instance's database that the code under way belongs to. */
export class AmbientTransaction {
  readonly #opened = new AsyncLocalStorage<Opened>();
  readonly #given: () => unknown;
  readonly #host: TransactionHostLike | undefined;

  constructor({ ambient, transactionHost }: AmbientOptions) {
    this.#host = transactionHost;
    this.#given =
      ambient ?? (() => (transactionHost?.isTransactionActive() === true ? transactionHost.tx : undefined));
  }

  /** The transaction opened last, by the application or by Waybill, that the caller runs in; undefined in none. */
  get current(): TransactionHandle | undefined {
    const opened = this.#opened.getStore();
    const given = this.#given() as TransactionHandle | undefined;
    if (opened === undefined) return given ?? undefined;
    return given === undefined || given === opened.outer ? opened.tx : given;
  }

  /**
   * Runs work in a transaction that Waybill has opened: what it publishes without a handle joins `tx`, and
   * `@Transactional()` code joins `handle`.
   *
   * @param handle the open transaction in the type of the driver or ORM
   */
  within<T>(tx: TransactionHandle, handle: unknown, work: () => Promise<T>): Promise<T> {
    return this.#opened.run({ tx, outer: this.#given() }, () =>
      this.#host === undefined ? work() : enterHost(this.#host, handle, work),
    );
  }

  /** @throws ConfigurationError when `@Transactional()` code would open a transaction of its own in deliveries */
  async assertUsable(): Promise<void> {
    if (this.#host !== undefined) await enterHost(this.#host, {}, () => Promise.resolve());
  }
}
