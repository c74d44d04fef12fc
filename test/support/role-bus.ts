import { randomBytes } from 'node:crypto';
import { PgDatabase } from '@waybill/kernel';
import { applyGrants, type GrantOptions, migrate, type SchemaPart } from '@waybill/schema';
import { createDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';

const PASSWORD = 'secret';

/**
 * A database whose schema belongs to a login that is not a superuser, and logins with the roles that tests give them.
 */
export class RoleBus {
  readonly #suffix = randomBytes(5).toString('hex');
  readonly #logins = new Set<string>();
  readonly #databases: TestDatabase[] = [];
  readonly #clients: PgDatabase[] = [];
  readonly #server = new pg.Client({ connectionString: testServerUrl() });

  private constructor() {}

  static async create(): Promise<RoleBus> {
    const bus = new RoleBus();
    await bus.#server.connect();
    await bus.login('owner');
    return bus;
  }

  /** A migrated database that belongs to the owner: of a service, of a bus, or of both. */
  async database(prefix: string, part?: SchemaPart): Promise<string> {
    const created = await createDatabase({ connectionString: testServerUrl() }, prefix);
    this.#databases.push(created);
    await this.#server.query(`alter database ${created.name} owner to ${this.name('owner')}`);
    const url = this.urlOf('owner', created.connectionString);
    await migrate({ connectionString: url, ...(part !== undefined && { part }) });
    return url;
  }

  /** The name on the server of a login with this name in the test. */
  name(login: string): string {
    return `${login}_${this.#suffix}`;
  }

  /** Creates a login without any right. */
  async login(login: string): Promise<string> {
    if (!this.#logins.has(login)) {
      await this.#server.query(`create role ${this.name(login)} login password '${PASSWORD}'`);
      this.#logins.add(login);
    }
    return this.name(login);
  }

  /** Gives a login roles in a database, as `waybill grants --apply` does. */
  async grant(login: string, url: string, options: Omit<GrantOptions, 'login'>): Promise<void> {
    const name = await this.login(login);
    const database = new PgDatabase({ connectionString: url, connectionsMax: 1 });
    try {
      await database.withConnection((connection) => applyGrants(connection, { ...options, login: name }));
    } finally {
      await database.close();
    }
  }

  /** How a login connects to a database. */
  urlOf(login: string, connectionString: string): string {
    const url = new URL(connectionString);
    url.username = this.name(login);
    url.password = PASSWORD;
    return url.href;
  }

  /** A database as a login sees it. */
  as(login: string, connectionString: string): PgDatabase {
    const database = new PgDatabase({
      connectionString: this.urlOf(login, connectionString),
      connectionsMax: 5,
    });
    this.#clients.push(database);
    return database;
  }

  /** Runs a statement as a superuser of the server. */
  async onServer(text: string): Promise<void> {
    await this.#server.query(text);
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close();
    for (const database of this.#databases) await database.drop();
    for (const login of this.#logins) await this.#server.query(`drop role ${this.name(login)}`);
    await this.#server.end();
  }
}

/** What a login gets for a statement: its rows, or the SQLSTATE that refuses it. It is rolled back. */
export async function attemptOn({ pool }: PgDatabase, text: string): Promise<unknown> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rows, rowCount } = await client.query<unknown[]>({ text, rowMode: 'array' });
    return /^\s*(update|delete)/.test(text) ? rowCount : rows.flat().length === 1 ? rows[0]?.[0] : rows;
  } catch (error) {
    return (error as { code?: string }).code;
  } finally {
    await client.query('rollback');
    client.release();
  }
}
