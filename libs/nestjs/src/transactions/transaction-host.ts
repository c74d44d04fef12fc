import { AsyncLocalStorage } from 'node:async_hooks';
import { ConfigurationError } from '@waybill/kernel';
import type { TransactionHostLike } from '../options/ambient-options.js';

/** The part of a transactional adapter of `@nestjs-cls/transactional` that Waybill uses. */
export interface TransactionalAdapterLike {
  optionsFactory(...args: never[]): object;
}

/** A transaction of Waybill's on its way into a host. */
interface Entry {
  readonly tx: unknown;
  entered: boolean;
}

const entries = new AsyncLocalStorage<Entry | undefined>();

type Work = () => Promise<unknown>;
type Wrap = (options: unknown, work: Work, setTx: (tx: unknown) => void) => Promise<unknown>;
type OptionsFactory = (...args: unknown[]) => { wrapWithTransaction: Wrap };

/**
 * Wraps an adapter of `@nestjs-cls/transactional`, so that `@Transactional()` code joins the transaction of the delivery,
 * or of `waybill.transaction`, that it is called in, by its rules of propagation: `Required` joins, `Nested` sets a
 * savepoint, `RequiresNew` opens another one. The module gets the host as `transactionHost`, and its `transactions` must
 * be of the same ORM.
 *
 * `new ClsPluginTransactional({ adapter: joinDeliveries(new TransactionalAdapterTypeOrm({ dataSourceToken })) })`
 */
export function joinDeliveries<Adapter extends TransactionalAdapterLike>(adapter: Adapter): Adapter {
  const optionsFactory: OptionsFactory = (...args) => {
    const options = (adapter.optionsFactory as unknown as OptionsFactory)(...args);
    const wrapWithTransaction: Wrap = (given, work, setTx) => {
      const entry = entries.getStore();
      if (entry === undefined) return options.wrapWithTransaction(given, work, setTx);
      entry.entered = true;
      setTx(entry.tx);
      // What is opened further in is opened by the adapter.
      return entries.run(undefined, work);
    };
    return { ...options, wrapWithTransaction };
  };
  return Object.create(adapter, { optionsFactory: { value: optionsFactory } }) as Adapter;
}

/**
 * Runs work with `tx` as the host's transaction.
 * @throws ConfigurationError when the host's adapter is not wrapped in {@link joinDeliveries}; the work is not run then
 */
export function enterHost<T>(host: TransactionHostLike, tx: unknown, work: () => Promise<T>): Promise<T> {
  const entry: Entry = { tx, entered: false };
  const checked = async (): Promise<T> => {
    if (entry.entered) return work();
    throw new ConfigurationError('The options of WaybillModule are not usable', [
      'transactionHost has an adapter that deliveries cannot join: wrap it, as adapter: joinDeliveries(new TransactionalAdapter…(…))',
    ]);
  };
  // A transaction of its own as far as the host knows: the delivery is no part of one that is open around it.
  const open = host.withTransaction as unknown as (propagation: string, work: Work) => Promise<unknown>;
  return entries.run(entry, () => open.call(host, 'REQUIRES_NEW', checked)) as Promise<T>;
}
