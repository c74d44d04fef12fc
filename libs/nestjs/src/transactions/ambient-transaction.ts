import { AsyncLocalStorage } from 'node:async_hooks';
import type { PgTransactionHandle } from '@waybill/kernel';
import type { TransactionHandle } from '@waybill/outbox';
import type { AmbientOptions, TransactionHostLike } from '../options/ambient-options.js';
import { enterHost } from './transaction-host.js';

/** A transaction that Waybill opened. */
interface Opened {
  readonly tx: TransactionHandle;
  /** The same in the type of the driver or ORM. */
  readonly handle: unknown;
  /** The application's own transaction at the time this one was opened. */
  readonly outer: unknown;
  /** Work that has to end before the transaction's work counts as done. */
  pending: Promise<unknown>[] | undefined;
}

/** Knows the transaction of one instance's database that the running code belongs to. */
export class AmbientTransaction {
  readonly #opened = new AsyncLocalStorage<Opened>();
  readonly #given: () => unknown;
  readonly #host: TransactionHostLike | undefined;

  constructor({ ambient, transactionHost }: AmbientOptions) {
    this.#host = transactionHost;
    this.#given =
      ambient ?? (() => (transactionHost?.isTransactionActive() === true ? transactionHost.tx : undefined));
  }

  /**
   * The transaction opened last, by the application or by Waybill, in which the caller runs; undefined if there is
   * none.
   */
  get current(): TransactionHandle | undefined {
    const opened = this.#opened.getStore();
    const given = this.#given() as TransactionHandle | undefined;
    if (opened === undefined) return given ?? undefined;
    return given === undefined || given === opened.outer ? opened.tx : given;
  }

  /**
   * The open transaction of the delivery, or of `Waybill.transaction`, in which the caller runs, for code that gets no
   * context; undefined if there is none.
   *
   * @typeParam Handle type of the transaction's handle; `Prisma.TransactionClient` with Prisma
   */
  handle<Handle = PgTransactionHandle>(): Handle | undefined {
    return this.#opened.getStore()?.handle as Handle | undefined;
  }

  /**
   * Runs work in a transaction that Waybill opened: messages published without a handle join `tx`, and
   * `@Transactional()` code joins `handle`.
   *
   * @param handle the open transaction in the type of the driver or ORM
   */
  async within<T>(tx: TransactionHandle, handle: unknown, work: () => Promise<T>): Promise<T> {
    const opened: Opened = { tx, handle, outer: this.#given(), pending: undefined };
    const result = await this.#opened.run(opened, () =>
      this.#host === undefined ? work() : enterHost(this.#host, handle, work),
    );
    while (opened.pending !== undefined) {
      const { pending } = opened;
      opened.pending = undefined;
      await Promise.all(pending);
    }
    return result;
  }

  /**
   * Makes the current transaction of Waybill wait for work that its caller does not await, and fail with it. Without
   * such a transaction, it does nothing.
   */
  awaitWith(something: Promise<unknown>): void {
    const opened = this.#opened.getStore();
    if (opened === undefined) return;
    opened.pending ??= [];
    opened.pending.push(something);
    // If the transaction's work fails first, this promise is never awaited.
    something.catch(() => {});
  }

  /** @throws ConfigurationError if `@Transactional()` code would open its own transaction in deliveries */
  async assertUsable(): Promise<void> {
    if (this.#host !== undefined) await enterHost(this.#host, {}, () => Promise.resolve());
  }
}
