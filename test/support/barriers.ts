import { PrismaPg } from '@prisma/adapter-pg';
import { BarrierParticipant } from '@waybill/guard';
import { PgDatabase, type TransactionRunner } from '@waybill/kernel';
import { joinTransaction } from '@waybill/outbox';
import { PrismaTransactionRunner } from '@waybill/outbox/internal';
import type pg from 'pg';
import { PrismaClient } from '../../src/orders/generated/client.js';
import { migratedDatabase } from './migrated-database.js';
import { runnerOn } from './places.js';

/** A participant's own database with a table `effect`, and pg or Prisma transactions in it. */
export class Participant {
  readonly barrier = new BarrierParticipant({ join: joined }, { waitMs: 2_000 });

  private constructor(
    readonly url: string,
    readonly database: PgDatabase,
    readonly runner: TransactionRunner<unknown>,
    private readonly ends: (() => Promise<void>)[],
  ) {}

  static async create(server: string, kind: 'pg' | 'prisma' = 'pg'): Promise<Participant> {
    const created = await migratedDatabase('participant', server);
    const database = new PgDatabase({ ...created, connectionsMax: 20 });
    await database.pool.query('create table effect (op text, branch text, gid text)');
    const ends = [() => database.close(), () => created.drop()];
    if (kind === 'pg') {
      const runner = runnerOn(database) as TransactionRunner<unknown>;
      return new Participant(created.connectionString, database, runner, ends);
    }
    const client = new PrismaClient({
      adapter: new PrismaPg({ connectionString: created.connectionString }),
    });
    ends.unshift(() => client.$disconnect());
    const runner = new PrismaTransactionRunner(client, 'waybill') as unknown as TransactionRunner<unknown>;
    return new Participant(created.connectionString, database, runner, ends);
  }

  /** Does an operation in its own transaction; its effect is a row. */
  do<T = string>(
    gid: string,
    op: 'action' | 'compensate' | 'try' | 'confirm' | 'cancel' | 'msg',
    {
      branch = '01',
      result,
      meanwhile,
    }: { branch?: string; result?: T; meanwhile?: () => Promise<void> } = {},
  ) {
    return this.runner.run({
      work: ({ handle }) =>
        this.barrier.call(handle, { gid, branch, op }, async () => {
          await insertEffect(handle, [op, branch, gid]);
          await meanwhile?.();
          return result;
        }),
      timeoutMs: 20_000,
    });
  }

  /** The operations of a gid that have taken effect, in order. */
  async effects(gid: string): Promise<string[]> {
    const { rows } = await this.database.pool.query<{ op: string }>('select op from effect where gid = $1', [
      gid,
    ]);
    return rows.map(({ op }) => op);
  }

  async close(): Promise<void> {
    for (const end of this.ends) await end();
  }
}

export function joined(tx: unknown) {
  return joinTransaction(tx, 'waybill', false).session;
}

async function insertEffect(handle: unknown, values: readonly string[]): Promise<void> {
  const text = 'insert into effect (op, branch, gid) values ($1, $2, $3)';
  if ('$executeRawUnsafe' in (handle as object))
    await (handle as PrismaClient).$executeRawUnsafe(text, ...values);
  else await (handle as pg.PoolClient).query(text, [...values]);
}
