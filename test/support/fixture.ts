import { Bell, PgDatabase } from '@waybill/kernel';
import { decodeBatch, type LogEngine, type LogSignals, type TopicOptions, type Topics } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay, type RelayOptions } from '@waybill/outbox';
import { DeadLetters } from '@waybill/dead-letter';
import type { WaybillModuleOptions } from '@waybill/nestjs';
import { testServerUrl, waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { type MigratedDatabase, migratedDatabase } from './migrated-database.js';
import { drain } from './own-databases.js';
import { busServerUrl, outboxOf, PREPARED_STATEMENTS } from './places.js';

/** A record as it is stored in the log. */
export interface LoggedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly id: string | undefined;
  readonly payload: { readonly n: number } & Record<string, unknown>;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface FixtureOptions {
  /** Default: that of the run. */
  readonly server?: string;
  /** The server of the bus. Default: where the run has its buses. */
  readonly busServer?: string;
  /** Why a test needs the bus in the service's database, wherever the run has its buses. */
  readonly inOneDatabase?: string;
  /** Why a test needs sessions of its own, also where the run has poolers. */
  readonly withoutPooler?: string;
}

/**
 * A test's own migrated database, with a topic `orders`, and what tests do with it. Its bus is where the run places it
 * (test/setup/placement.mjs): in the same database, in another one, or in another cluster.
 */
export class Fixture {
  readonly url: string;
  /** Without the pooler that the run may have. */
  readonly directUrl: string;
  readonly database: PgDatabase;
  readonly busUrl: string;
  /** The same without the pooler. */
  readonly busDirectUrl: string;
  /** The database of the bus; the same object as `database` where it is in that. */
  readonly bus: PgDatabase;
  readonly engine: LogEngine;
  readonly topics: Topics;
  readonly signals: LogSignals;
  readonly outbox = outboxOf();
  readonly deadLetters: DeadLetters;
  readonly #relay: Relay;

  private constructor(
    private readonly service: MigratedDatabase,
    private readonly ownBus: MigratedDatabase | undefined,
    isDirect: boolean,
  ) {
    const urlOf = (one: MigratedDatabase): string => (isDirect ? one.directUrl : one.connectionString);
    this.url = urlOf(service);
    this.directUrl = service.directUrl;
    this.database = new PgDatabase({ connectionString: this.url, connectionsMax: 30 });
    this.busUrl = ownBus === undefined ? this.url : urlOf(ownBus);
    this.busDirectUrl = ownBus?.directUrl ?? this.directUrl;
    this.bus =
      ownBus === undefined
        ? this.database
        : new PgDatabase({ connectionString: this.busUrl, connectionsMax: 30 });
    this.engine = this.engineOf(this.database);
    ({ topics: this.topics, signals: this.signals } = this.engine);
    this.deadLetters = new DeadLetters(this.database, this.engine);
    this.#relay = this.relay();
  }

  static async create(
    topics: Readonly<Record<string, TopicOptions>> = { orders: {} },
    { server = testServerUrl(), inOneDatabase, withoutPooler, ...given }: FixtureOptions = {},
  ): Promise<Fixture> {
    const busServer = inOneDatabase === undefined ? (given.busServer ?? busServerUrl()) : undefined;
    const part = busServer === undefined ? undefined : 'service';
    const service = await migratedDatabase('flow', server, part);
    const bus = busServer === undefined ? undefined : await migratedDatabase('bus', busServer, 'bus');
    const fixture = new Fixture(service, bus, withoutPooler !== undefined);
    const { database } = fixture;
    for (const [name, options] of Object.entries(topics)) await fixture.topics.create(name, options);
    await database.pool.query(
      `create table effect (id bigint generated always as identity, consumer text, topic text, partition int,
                            log_offset bigint, key text, message_id text, n int, attempt int, pid int,
                            at timestamptz default clock_timestamp())`,
    );
    return fixture;
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.service.drop();
    if (this.ownBus === undefined) return;
    await this.bus.close();
    await this.ownBus.drop();
  }

  /** Options of an instance of Waybill by which it works on these databases, as the run reaches them. */
  get moduleOptions(): Pick<WaybillModuleOptions, 'database' | 'bus' | 'outbox'> {
    return {
      database: { connectionString: this.url },
      ...(this.ownBus !== undefined && { bus: { connectionString: this.busUrl } }),
      ...(!PREPARED_STATEMENTS && { outbox: { preparedStatements: false } }),
    };
  }

  /** The same as arguments of the command. */
  get urlArguments(): string[] {
    const bus = this.ownBus === undefined ? [] : ['--bus-url', this.busUrl];
    return ['--database-url', this.url, ...bus];
  }

  /** The log as another pool of connections to the service's database uses it. */
  engineOf(database: PgDatabase): LogEngine {
    return this.ownBus === undefined
      ? new PostgresLogEngine(database)
      : new PostgresLogEngine(this.bus, { service: database });
  }

  relay(options: RelayOptions = {}): Relay {
    const { database, engine: log } = this;
    return new Relay({ database, log, bell: new Bell() }, options);
  }

  /** Runs work in a transaction on its own connection and commits. */
  async transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.database.pool.connect();
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  /** Publishes one message in its own transaction. */
  async publish(n: number, key: string | null = `key-${n % 10}`, topic = 'orders'): Promise<void> {
    await this.transaction((client) => this.outbox.publish(client, { topic, key, payload: { n } }));
  }

  /** Lets a relay move all committed messages. */
  async moveAll(): Promise<void> {
    // The last pass of another relay may still be on its way, and is left to that for a moment.
    if (this.bus !== this.database) await this.#handedOver();
    await drain(this.#relay);
  }

  /** Waits until the log holds the newest pass. */
  async #handedOver(): Promise<void> {
    const newestOf = async ({ pool }: PgDatabase, table: string): Promise<number> => {
      const { rows } = await pool.query<{ n: number }>(`select coalesce(max(n), 0)::int as n from ${table}`);
      return rows[0]?.n ?? 0;
    };
    const isThere = async (): Promise<boolean> =>
      (await newestOf(this.database, 'waybill.relay_intent')) ===
      (await newestOf(this.bus, 'waybill_bus.log_source'));
    await waitUntil(isThere, { describe: 'the log holds the newest pass' });
  }

  /**
   * Lets a relay move what the service has sent itself (due timers, committed halves, edited dead letters): to a bus
   * elsewhere it goes through the outbox. To a bus in the same database it must have gone without one.
   */
  async moveOwn(relay = this.#relay): Promise<void> {
    if (this.bus !== this.database) await drain(relay);
  }

  /** The log, once what the service has sent itself is in it. */
  async sentLog(topic = 'orders', relay = this.#relay): Promise<LoggedRecord[]> {
    await this.moveOwn(relay);
    return this.log(topic);
  }

  /** All records of a topic, partition by partition in order of offset. */
  async log(topic = 'orders'): Promise<LoggedRecord[]> {
    const { partitionIds } = await this.topics.get(topic);
    const records: LoggedRecord[] = [];
    for (const [partition, partitionId] of partitionIds.entries()) {
      const { startOffset, endOffset } = (await this.engine.offsets([partitionId])).get(partitionId) ?? {
        startOffset: 0,
        endOffset: 0,
      };
      let offset = startOffset;
      while (offset < endOffset) {
        const { batches } = await this.engine.fetch([{ partitionId, offset }]);
        for (const batch of batches) {
          for (const record of decodeBatch(batch.data, { fromOffset: offset })) {
            const headers = Object.fromEntries(
              record.headers.map(({ key, value }) => [key, value?.toString()]),
            );
            records.push({
              partition,
              offset: record.offset,
              key: record.key?.toString() ?? null,
              id: headers[MESSAGE_ID_HEADER],
              payload: JSON.parse(String(record.value)),
              headers,
            });
          }
          offset = batch.lastOffset + 1;
        }
      }
    }
    return records;
  }

  /** One value of the first row. */
  value<T = number>(text: string, values: readonly unknown[] = []): Promise<T> {
    return valueIn(this.database, text, values);
  }

  /** The same in the database of the bus. */
  busValue<T = number>(text: string, values: readonly unknown[] = []): Promise<T> {
    return valueIn(this.bus, text, values);
  }
}

async function valueIn<T>({ pool }: PgDatabase, text: string, values: readonly unknown[]): Promise<T> {
  const { rows } = await pool.query({ text, values: [...values], rowMode: 'array' });
  return (rows as T[][])[0]?.[0] as T;
}

/** What is wrong with a log: offsets with gaps, messages that are stored twice. Empty when all is well. */
export function faultsOf(records: readonly LoggedRecord[]): string[] {
  const faults: string[] = [];
  const seen = new Map<string, string>();
  const next = new Map<number, number>();
  for (const { partition, offset, id } of records) {
    const expected = next.get(partition) ?? 0;
    if (offset !== expected)
      faults.push(`partition ${partition} has offset ${offset} where ${expected} was due`);
    next.set(partition, offset + 1);
    if (id === undefined) continue;
    if (seen.has(id)) faults.push(`message ${id} is stored at ${seen.get(id)} and at ${partition}@${offset}`);
    seen.set(id, `${partition}@${offset}`);
  }
  return faults;
}

/** The numbers of the payloads, ascending. */
export function numbersOf(records: readonly LoggedRecord[]): number[] {
  return records.map(({ payload }) => payload.n).toSorted((a, b) => a - b);
}

/** 0, 1, … up to but excluding `end`. */
export function upTo(end: number): number[] {
  return Array.from({ length: end }, (_, index) => index);
}
