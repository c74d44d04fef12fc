import { has, noTransaction, type TransactionAdapter } from './joined-transaction.js';
import { lendTransaction, type LentTransaction, StatementGate } from './lend-transaction.js';
import { joinPgBeneath } from './pg-transaction.js';
import type { TransactionOpener } from './transaction-opener.js';

/** The part of TypeORM's `QueryRunner` that Waybill uses. */
export interface TypeOrmQueryRunner {
  readonly isTransactionActive: boolean;
  readonly isReleased: boolean;
  connect(): Promise<unknown>;
}

/** The part of TypeORM's `EntityManager` that Waybill uses. */
export interface TypeOrmManager {
  readonly queryRunner?: TypeOrmQueryRunner | undefined;
  getRepository(...args: never[]): unknown;
}

/** The part of TypeORM's `DataSource` that opens transactions. */
export interface TypeOrmTransactions<Manager extends TypeOrmManager> {
  transaction<T>(isolation: 'READ COMMITTED', work: (manager: Manager) => Promise<T>): Promise<T>;
}

const INSTEAD =
  'the manager that dataSource.transaction(async (manager) => …) passes to its callback, or a query runner after startTransaction()';

/**
 * TypeORM: an entity manager of a transaction, or a query runner after `startTransaction()`. `connect()` is TypeORM's
 * public way to the pg client that the query runner holds; its `query` would read int8 as text.
 */
export const joinTypeOrm: TransactionAdapter = (handle, options) => {
  const what = kindOf(handle);
  if (what === undefined) return undefined;
  const runner = isQueryRunner(handle) ? handle : (handle as Partial<TypeOrmManager>).queryRunner;
  if (!isQueryRunner(runner) || runner.isReleased || !runner.isTransactionActive)
    throw noTransaction(`${what} outside any transaction was passed`, INSTEAD);
  return joinPgBeneath({ client: () => runner.connect(), what, instead: INSTEAD }, options);
};

/** Opens transactions by `dataSource.transaction`; the handle is TypeORM's `EntityManager`. */
export function typeOrmOpener<Manager extends TypeOrmManager>(
  dataSource: TypeOrmTransactions<Manager>,
): TransactionOpener<Manager> {
  return {
    kind: 'typeorm',
    open: (work) => dataSource.transaction('READ COMMITTED', work),
    lend: lendTypeOrm,
  };
}

/** Members of a TypeORM query runner that its borrower may not use. */
const RUNNER_TERMS = {
  what: 'query runner',
  refused: ['release', 'commitTransaction', 'rollbackTransaction'],
};

/**
 * TypeORM sends queries that arrive during its ROLLBACK after it, where they commit by themselves. The query runner
 * belongs to this transaction alone.
 */
function lendTypeOrm<Manager extends TypeOrmManager>(manager: Manager): LentTransaction<Manager> {
  const gate = new StatementGate();
  const runner = manager.queryRunner as object as Record<'query' | 'stream', (...args: unknown[]) => unknown>;
  for (const method of ['query', 'stream'] as const) {
    const send = runner[method];
    runner[method] = async (...args) => {
      gate.assertMayPass(args[0]);
      return send.apply(runner, args);
    };
  }
  const lentRunner = lendTransaction(runner, RUNNER_TERMS);
  const { lent, revoke } = lendTransaction(manager, { what: 'manager', refused: ['release'] });
  return {
    lent: new Proxy(lent, {
      get: (target, property) =>
        property === 'queryRunner' ? lentRunner.lent : (Reflect.get(target, property) as unknown),
    }),
    revoke: () => {
      gate.revoke();
      lentRunner.revoke();
      revoke();
    },
  };
}

/** TypeORM's brand on its classes, by which two copies of it recognise each other's. */
function kindOf(handle: unknown): string | undefined {
  if (isQueryRunner(handle)) return 'A TypeORM query runner';
  switch ((handle as { '@instanceof'?: unknown } | null | undefined)?.['@instanceof']) {
    case Symbol.for('EntityManager'):
      return 'A TypeORM entity manager';
    case Symbol.for('DataSource'):
      return 'A TypeORM data source';
    default:
      return undefined;
  }
}

function isQueryRunner(handle: unknown): handle is TypeOrmQueryRunner {
  return (
    has(handle, 'startTransaction') && has(handle, 'connect') && has(handle, 'isTransactionActive', 'boolean')
  );
}
