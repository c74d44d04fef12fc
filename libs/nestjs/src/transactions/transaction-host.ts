import { AsyncLocalStorage } from 'node:async_hooks';
import { ConfigurationError } from '@waybill/kernel';
import type { TransactionHostLike } from '../options/ambient-options.js';

/** The part of a transactional adapter of `@nestjs-cls/transactional` that Waybill uses. */
export interface TransactionalAdapterLike {
  optionsFactory(...args: never[]): object;
}

/** A transaction of Waybill that is being passed to a host. */
interface Entry {
  readonly tx: unknown;
  entered: boolean;
}

const entries = new AsyncLocalStorage<Entry | undefined>();

type Work = () => Promise<unknown>;
type Wrap = (options: unknown, work: Work, setTx: (tx: unknown) => void) => Promise<unknown>;
type OptionsFactory = (...args: unknown[]) => { wrapWithTransaction: Wrap };

/**
 * Wraps an adapter of `@nestjs-cls/transactional`, so that `@Transactional()` code joins the transaction of the
 * delivery, or of `waybill.transaction`, in which it is called, according to its propagation: `Required` joins,
 * `Nested` sets a savepoint, `RequiresNew` opens another one. Pass the host to the module as `transactionHost`; its
 * `transactions` must be of the same ORM.
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
      // The adapter itself opens nested transactions.
      return entries.run(undefined, work);
    };
    return { ...options, wrapWithTransaction };
  };
  return Object.create(adapter, { optionsFactory: { value: optionsFactory } }) as Adapter;
}

/**
 * Runs work with `tx` as the host's transaction.
 * @throws ConfigurationError if the host's adapter is not wrapped in {@link joinDeliveries}; the work is then not run
 */
export function enterHost<T>(host: TransactionHostLike, tx: unknown, work: () => Promise<T>): Promise<T> {
  const entry: Entry = { tx, entered: false };
  const checked = async (): Promise<T> => {
    if (entry.entered) return work();
    throw new ConfigurationError('The options of WaybillModule are not usable', [
      'transactionHost has an adapter that deliveries cannot join: set adapter: joinDeliveries(new TransactionalAdapter…(…))',
    ]);
  };
  // For the host it is a new transaction: the delivery is not part of one that is open around it.
  const open = host.withTransaction as unknown as (propagation: string, work: Work) => Promise<unknown>;
  return entries.run(entry, () => open.call(host, 'REQUIRES_NEW', checked)) as Promise<T>;
}
