import { type SqlSession, type Statement } from '@waybill/kernel';
import { has, noTransaction, type TransactionAdapter } from './joined-transaction.js';
import { joinKnex } from './knex-transaction.js';
import { joinKysely } from './kysely-transaction.js';
import { lendTransaction } from './lend-transaction.js';
import type { TransactionOpener } from './transaction-opener.js';

/** The part of MikroORM's `EntityManager` that Waybill uses. */
export interface MikroOrmManager {
  isInTransaction(): boolean;
  getTransactionContext(): unknown;
  flush(): Promise<void>;
  clear(): void;
}

/** The part of MikroORM that opens transactions. */
export interface MikroOrmTransactions<Manager extends MikroOrmManager> {
  readonly em: {
    fork(): { transactional<T>(work: (em: Manager) => Promise<T>, options?: object): Promise<T> };
  };
}

const INSTEAD =
  'the em that em.transactional(async (em) => …) passes to its callback, or a fork after em.begin(), before it ends';

/**
 * MikroORM: an entity manager in a transaction. Its transaction context is a Knex transaction (MikroORM 6) or a Kysely
 * one (7), which is joined as such.
 */
export const joinMikroOrm: TransactionAdapter = (handle, options) => {
  if (has(handle, 'em', 'object') && has(handle, 'getMetadata'))
    throw noTransaction('MikroORM itself was passed, outside any transaction', INSTEAD);
  if (!has(handle, 'isInTransaction') || !has(handle, 'getTransactionContext')) return undefined;
  const em = handle as MikroOrmManager;
  if (!em.isInTransaction())
    throw noTransaction('A MikroORM entity manager outside any transaction was passed', INSTEAD);
  const context = em.getTransactionContext();
  const joined = joinKnex(context, options) ?? joinKysely(context, options);
  if (joined === undefined)
    throw noTransaction('A MikroORM entity manager was passed whose driver is not for PostgreSQL', INSTEAD);
  return joined;
};

/** Opens transactions by `em.fork().transactional`; the handle is the forked entity manager. */
export function mikroOrmOpener<Manager extends MikroOrmManager>({
  em,
}: MikroOrmTransactions<Manager>): TransactionOpener<Manager> {
  return {
    kind: 'mikro-orm',
    open: (work) => em.fork().transactional(work, { isolationLevel: 'read committed' }),
    // Pending entities must be written before the last statements, which record that the work is done.
    flush: (handle) => handle.flush(),
    lend: (handle) =>
      lendTransaction(handle, { what: 'entity manager', refused: ['commit', 'rollback', 'begin'] }),
    session: (session, handle) => new UnitOfWorkSession(session, handle),
  };
}

/** Keeps the unit of work in sync with the savepoints that Waybill sets around messages that share a transaction. */
class UnitOfWorkSession implements SqlSession {
  constructor(
    private readonly session: SqlSession,
    private readonly em: MikroOrmManager,
  ) {}

  get schema(): string {
    return this.session.schema;
  }

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    if (statement.text.startsWith('savepoint ')) await this.em.flush();
    const rows = await this.session.run(statement, ...params);
    // Entities of the message that was rolled back must not be written with those of the next.
    if (statement.text.startsWith('rollback to savepoint ')) this.em.clear();
    return rows;
  }
}
