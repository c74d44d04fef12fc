import type {
  BoundStatement,
  ConnectionLoss,
  OpenTransaction,
  PgConnection,
  PgDatabase,
  SqlSession,
  Statement,
  TransactionRunner,
  TransactionWork,
} from '@waybill/kernel';
import { TransactionLostError } from '@waybill/kernel/internal';
import type { SimProcess } from '../scheduler/sim-process.js';
import { ModelConnection } from './model-connection.js';
import type { ModelServer } from './model-server.js';

/** One process's pool of connections to the model server: what the product takes for its {@link PgDatabase}. */
export class ModelDatabase {
  readonly schema = 'waybill';
  readonly session: SqlSession;

  constructor(
    private readonly server: ModelServer,
    private readonly process: SimProcess,
  ) {
    const connect = (): ModelConnection => new ModelConnection(server, process);
    this.session = {
      schema: this.schema,
      run: <Params extends readonly unknown[], Row>(
        statement: Statement<Params, Row>,
        ...params: Params
      ): Promise<Row[]> => connect().run(statement, ...params),
    };
  }

  /** As the product's type. */
  get asDatabase(): PgDatabase {
    return this as unknown as PgDatabase;
  }

  get recentLosses(): readonly ConnectionLoss[] {
    return [];
  }

  async withConnection<T>(work: (connection: PgConnection) => Promise<T>): Promise<T> {
    const connection = new ModelConnection(this.server, this.process);
    try {
      return await work(connection as unknown as PgConnection);
    } finally {
      if (connection.transaction !== undefined) await connection.rollback();
    }
  }

  async transaction<T>(work: (connection: PgConnection) => Promise<T>): Promise<T> {
    return this.withConnection(async (connection) => {
      try {
        await connection.runBatch([], { begin: true });
        const result = await work(connection);
        await connection.runBatch([], { commit: true });
        return result;
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    });
  }

  async runTogether(statements: readonly BoundStatement[]): Promise<unknown[][]> {
    return this.withConnection(async (connection) => {
      try {
        return await connection.runBatch(statements, { begin: true, commit: true });
      } catch (error) {
        await connection.rollback();
        throw error;
      }
    });
  }

  /**
   * Runs handlers' transactions. Without `together`, the last statements and COMMIT are sent one by one, as by drivers
   * that cannot send them in one round trip.
   */
  runner(together: boolean): TransactionRunner {
    return {
      kind: 'model',
      resetsSession: true,
      session: this.session,
      run: <T>(work: TransactionWork<unknown, T>) => this.#run(work, together),
    };
  }

  async #run<T>({ work, last }: TransactionWork<unknown, T>, together: boolean): Promise<T> {
    const connection = new ModelConnection(this.server, this.process);
    let isCommitting = false;
    try {
      await connection.runBatch([], { begin: true });
      const session = connection as unknown as SqlSession;
      const result = await work({ session, handle: connection } satisfies OpenTransaction<unknown>);
      isCommitting = true;
      const statements = last?.(result) ?? [];
      if (together) await connection.runBatch(statements, { commit: true });
      else {
        for (const statement of statements) await connection.runBatch([statement]);
        await connection.runBatch([], { commit: true });
      }
      return result;
    } catch (error) {
      if (!(await connection.rollback())) throw new TransactionLostError(error, isCommitting);
      throw error;
    }
  }
}
