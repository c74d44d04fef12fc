import { PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { createDatabase } from '@waybill/testing';

/** A server, by the URL of its default database. */
export interface Server {
  readonly connectionString: string;
}

/** A service's database and its bus: the same database, two of one server, or two of two servers. */
export interface Place {
  /** URL of the service's database. */
  readonly service: string;
  /** URL of the bus. */
  readonly bus: string;
}

/** Runs the work in a fresh place, and drops its databases. The bus is in the service's database unless given a server. */
export async function inPlace<T>(
  service: Server,
  bus: Server | undefined,
  work: (place: Place) => Promise<T>,
): Promise<T> {
  const own = await createDatabase(service, 'bench');
  const other = bus === undefined ? undefined : await createDatabase(bus, 'bench_bus');
  try {
    if (other === undefined) {
      await migrate({ connectionString: own.connectionString });
      return await work({ service: own.connectionString, bus: own.connectionString });
    }
    await migrate({ connectionString: own.connectionString, part: 'service' });
    await migrate({ connectionString: other.connectionString, part: 'bus' });
    return await work({ service: own.connectionString, bus: other.connectionString });
  } finally {
    await own.drop();
    await other?.drop();
  }
}

/** Connections of a process of the service. */
export class Connected {
  readonly database: PgDatabase;
  readonly log: PostgresLogEngine;
  readonly #bus: PgDatabase;

  constructor({ service, bus }: Place) {
    this.database = new PgDatabase({ connectionString: service });
    this.#bus = bus === service ? this.database : new PgDatabase({ connectionString: bus });
    this.log = new PostgresLogEngine(this.#bus, { service: this.database });
  }

  async close(): Promise<void> {
    await this.database.close();
    if (this.#bus !== this.database) await this.#bus.close();
  }
}
