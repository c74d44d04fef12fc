import { PgDatabase } from '@waybill/kernel';
import {
  type CheckBack,
  HalfMessageChecker,
  type HalfMessageCheckerOptions,
  HalfMessageOperations,
  HalfMessages,
  type HalfMessagesOptions,
  type LocalDatabase,
  LocalDatabases,
} from '@waybill/half-message';
import { ANY_TOPIC, type HalfMessageCheckerDependencies } from '@waybill/half-message/internal';
import { testServerUrl } from '@waybill/testing';
import type pg from 'pg';
import type { Fixture } from './fixture.js';
import { migratedDatabase } from './migrated-database.js';
import { runnerOn } from './places.js';

/** A test's own local database, with a table `done` for what local transactions do. */
export class LocalLedger {
  private constructor(
    readonly url: string,
    readonly transactions: PgDatabase,
    readonly asking: PgDatabase,
    readonly local: LocalDatabase<pg.PoolClient>,
    private readonly drop: () => Promise<void>,
  ) {}

  static async create(server = testServerUrl()): Promise<LocalLedger> {
    const created = await migratedDatabase('ledger', server);
    const transactions = new PgDatabase({ ...created, connectionsMax: 20 });
    const asking = new PgDatabase(created);
    await asking.pool.query('create table done (n int, half uuid)');
    const local = {
      name: 'ledger',
      transactions: runnerOn(transactions),
      session: asking.session,
    };
    return new LocalLedger(created.connectionString, transactions, asking, local, () => created.drop());
  }

  get databases(): LocalDatabases {
    return new LocalDatabases([this.local as unknown as LocalDatabase]);
  }

  /** Numbers of the local transactions that have committed, ascending. */
  async done(): Promise<number[]> {
    const { rows } = await this.asking.pool.query<{ n: number }>('select n from done order by n');
    return rows.map(({ n }) => n);
  }

  async close(): Promise<void> {
    await this.transactions.close();
    await this.asking.close();
    await this.drop();
  }
}

/** Half messages of a fixture, and what tests do with them. */
export class HalfFloor {
  readonly halves: HalfMessages;
  readonly operations: HalfMessageOperations;

  constructor(
    readonly fixture: Fixture,
    readonly databases = new LocalDatabases(),
    options: HalfMessagesOptions = {},
  ) {
    this.halves = this.halvesOf(fixture.database, options);
    this.operations = new HalfMessageOperations(fixture.database, this.halves.store);
  }

  halvesOf(database: PgDatabase, options: HalfMessagesOptions = {}, group = 'payments'): HalfMessages {
    const { outbox } = this.fixture;
    const log = database === this.fixture.database ? this.fixture.engine : this.fixture.engineOf(database);
    const encode = outbox.encode.bind(outbox);
    return new HalfMessages({ database, log, group, encode, databases: this.databases }, options);
  }

  /** @param parts `groupCheck`: the check for every topic without its own */
  checker(
    {
      groupCheck,
      checks,
      ...parts
    }: Partial<HalfMessageCheckerDependencies> & { groupCheck?: CheckBack } = {},
    options: HalfMessageCheckerOptions = {},
  ): HalfMessageChecker {
    const { store, group } = this.halves;
    const { database } = this.fixture;
    const all = new Map([
      ...(checks ?? []),
      ...(groupCheck === undefined ? [] : [[ANY_TOPIC, groupCheck] as const]),
    ]);
    return new HalfMessageChecker(
      { database, store, group, databases: this.databases, checks: all, ...parts },
      options,
    );
  }

  /** Makes every open half message due now. */
  async makeDue(): Promise<void> {
    await this.fixture.database.pool.query(
      'update waybill.half_message set next_check_at = clock_timestamp()',
    );
  }
}

/** A message with a number. */
export function order(n: number, key: string | null = `key-${n % 10}`) {
  return { topic: 'orders', key, payload: { n } };
}
