import { Bell, type Logger, PgDatabase } from '@waybill/kernel';
import { decodeBatch, type LogEngine, type TopicOptions } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay, type RelayOptions } from '@waybill/outbox';
import { createDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';
import type pg from 'pg';
import { migratedDatabase } from './migrated-database.js';
import { busServerUrl, outboxOf } from './places.js';

/** A service with a database of its own, on a bus in another one. */
export class OwnService {
  readonly outbox = outboxOf();
  readonly log: PostgresLogEngine;

  private constructor(
    readonly created: TestDatabase,
    readonly database: PgDatabase,
    readonly bus: PgDatabase,
  ) {
    this.log = new PostgresLogEngine(bus, { service: database });
  }

  /** @param server default: that of the run's services */
  static async create(bus: TestBus, server = testServerUrl()): Promise<OwnService> {
    return OwnService.of(await migratedDatabase('service', server, 'service'), bus);
  }

  static async of(created: TestDatabase, bus: TestBus): Promise<OwnService> {
    const database = new PgDatabase({ connectionString: created.connectionString, connectionsMax: 20 });
    const service = new OwnService(created, database, bus.database);
    await service.log.topics.list();
    return service;
  }

  relay(
    options: RelayOptions = {},
    { log = this.log as LogEngine, logger }: { log?: LogEngine; logger?: Logger } = {},
  ): Relay {
    return new Relay({ database: this.database, log, bell: new Bell(), ...(logger && { logger }) }, options);
  }

  /** Publishes messages in one transaction. */
  async publish(numbers: readonly number[], topic = 'orders', key = 'k'): Promise<void> {
    await this.transaction(async (client) => {
      for (const n of numbers) await this.outbox.publish(client, { topic, key, payload: { n } });
    });
  }

  async transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.database.pool.connect();
    // The error of a connection that is lost is also that of the statement that waits on it.
    const unheard = (): void => {};
    client.on('error', unheard);
    let isLost = false;
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch(() => (isLost = true));
      throw error;
    } finally {
      client.off('error', unheard);
      client.release(isLost);
    }
  }

  /** The only value of a query's only row. */
  async value<T>(sql: string, params: unknown[] = []): Promise<T> {
    const { rows } = await this.database.pool.query({ text: sql, values: params, rowMode: 'array' });
    return rows[0]?.[0] as T;
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.created.drop();
  }
}

/** A bus in a database of its own. */
export class TestBus {
  readonly log: PostgresLogEngine;

  private constructor(
    readonly created: TestDatabase,
    readonly database: PgDatabase,
  ) {
    this.log = new PostgresLogEngine(database, { service: null });
  }

  static async create(
    topics: Readonly<Record<string, TopicOptions>> = { orders: { partitions: 1 } },
    server = busServerUrl() ?? testServerUrl(),
  ): Promise<TestBus> {
    const bus = TestBus.of(await migratedDatabase('bus', server, 'bus'));
    for (const [name, options] of Object.entries(topics)) await bus.log.topics.create(name, options);
    return bus;
  }

  static of(created: TestDatabase): TestBus {
    return new TestBus(
      created,
      new PgDatabase({ connectionString: created.connectionString, connectionsMax: 20 }),
    );
  }

  /** The numbers in a topic's only partition, in order of offset, and the ids. */
  async read(topic = 'orders'): Promise<{ readonly numbers: number[]; readonly ids: string[] }> {
    const { partitionIds } = await this.log.topics.get(topic);
    const numbers: number[] = [];
    const ids: string[] = [];
    for (const partitionId of partitionIds) {
      const { startOffset = 0, endOffset = 0 } =
        (await this.log.offsets([partitionId])).get(partitionId) ?? {};
      for (let offset = startOffset; offset < endOffset;) {
        const { batches } = await this.log.fetch([{ partitionId, offset }]);
        for (const { data, lastOffset } of batches) {
          for (const { value, headers } of decodeBatch(data, { fromOffset: offset })) {
            numbers.push((JSON.parse(String(value)) as { n: number }).n);
            ids.push(String(headers.find(({ key }) => key === MESSAGE_ID_HEADER)?.value));
          }
          offset = lastOffset + 1;
        }
      }
    }
    return { numbers, ids };
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.created.drop();
  }
}

/** A copy of a database as it is now, like a restored backup. No session may use the original. */
export function copyOf(created: TestDatabase): Promise<TestDatabase> {
  const server = new URL(created.connectionString);
  server.pathname = '/postgres';
  return createDatabase({ connectionString: server.href }, 'copy', created.name);
}

/** Lets a relay work until nothing more is to do, and all is answered. */
export async function drain(relay: Relay): Promise<void> {
  do while ((await relay.runOnce()) === 'again');
  while (await hasMore(relay));
}

async function hasMore(relay: Relay): Promise<boolean> {
  await relay.drain();
  return (await relay.runOnce()) === 'again';
}
