import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Consumer, resolveSubscription } from '@waybill/consumer';
import { PgDatabase, type TransactionRunner } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';

/** Members of pg's client that its types leave out. */
interface Wire {
  bind(config: unknown): void;
}

describe('lanes that are opened together', () => {
  let fixture: Fixture;
  const ends: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    fixture = await Fixture.create({});
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
    await fixture.close();
  });

  /** A consumer of all topics of a pattern, on its own connections, which count what is sent over them. */
  const consume = async (
    pattern: string,
    group = pattern.replace('.*', ''),
  ): Promise<{ consumer: Consumer; sent: () => number }> => {
    let sent = 0;
    const open = (connectionString: string): PgDatabase => {
      const database = new PgDatabase({ connectionString, connectionsMax: 10 });
      database.pool.on('connect', (client) => {
        const { connection } = client as unknown as { connection: Wire };
        const { bind } = connection;
        // Batches send through an object that inherits from the connection.
        connection.bind = function count(this: Wire, config) {
          sent += 1;
          bind.call(this, config);
        };
      });
      return database;
    };
    const database = open(fixture.url);
    const bus = fixture.bus === fixture.database ? database : open(fixture.busUrl);
    const handler = async ({ topic, partition }: { topic: string; partition: number }): Promise<void> => {
      await fixture.database.pool.query('insert into effect (topic, partition) values ($1, $2)', [
        topic,
        partition,
      ]);
    };
    const consumer = consumerOf(
      {
        group,
        subscriptions: [],
        patterns: [{ pattern, subscribe: (topic) => resolveSubscription(topic, handler) }],
        database,
        transactions: runnerOn(database) as TransactionRunner,
        log: new PostgresLogEngine(bus, { service: database }),
      },
      { leaseMs: 60_000, heartbeatMs: 10_000, pollMaxMs: 500 },
    );
    ends.push(async () => {
      await consumer.stop();
      await database.close();
      if (bus !== database) await bus.close();
    });
    await consumer.start();
    return { consumer, sent: () => sent };
  };

  const createTopics = async (prefix: string, count: number, partitions: number): Promise<void> => {
    for (let n = 0; n < count; n += 1) await fixture.topics.create(`${prefix}.${n}`, { partitions });
  };
  /** Lanes that have been open: those that have stored their start position. */
  const begun = (): Promise<number> =>
    fixture.value('select count(distinct partition_id)::int from waybill.consumer_position');
  const untilBegun = (count: number): Promise<void> =>
    waitUntil(async () => (await begun()) >= count, {
      describe: `${count} lanes are open`,
      timeoutMs: 60_000,
    });

  test('take as many statements for 320 partitions as for 16, and so does closing them', async () => {
    await createTopics('few', 4, 4);
    await createTopics('many', 40, 8);
    const few = await consume('few.*');
    await untilBegun(16);
    const forFew = few.sent();
    const many = await consume('many.*');
    await untilBegun(16 + 320);
    const forMany = many.sent();
    // A second more or less adds a heartbeat and a poll for topics and redrives.
    // With a bus elsewhere it is asked as well, by statements of its own.
    expect(forFew).toBeLessThan(fixture.bus === fixture.database ? 50 : 60);
    expect(forMany).toBeLessThan(forFew + 25);

    // They are closed together as well.
    await many.consumer.stop();
    expect(many.sent() - forMany).toBeLessThan(40);
    const kept = await fixture.busValue(
      'select count(*)::int from waybill_bus.partition_owner where owner_id is not null',
    );
    expect(kept).toBe(16);
  });

  test('fail only where the log does not have the position', async () => {
    await createTopics('some', 4, 4);
    const { partitionIds } = await fixture.topics.get('some.1');
    await fixture.database.pool.query("insert into waybill.consumer_group (name) values ('some')");
    await fixture.database.pool.query(
      `insert into waybill.consumer_position (group_id, partition_id, position, in_flight_end)
       select id, $1, 99, 99 from waybill.consumer_group`,
      [partitionIds[2]],
    );
    const { consumer } = await consume('some.*');
    await untilBegun(16);
    await waitUntil(() => consumer.status.failures.length > 0, { describe: 'one has failed' });
    expect(consumer.status.failures).toMatchObject([{ topic: 'some.1', partition: 2 }]);
    for (const n of [0, 1, 2, 3]) await fixture.publish(n, 'a', `some.${n}`);
    await fixture.moveAll();
    await waitUntil(async () => (await fixture.value('select count(*)::int from effect')) >= 3, {
      describe: 'the others are consumed',
    });
  });

  test('open even if another cannot be written, or is still held by a delivery', async () => {
    await createTopics('some', 4, 4);
    const [refused] = (await fixture.topics.get('some.1')).partitionIds;
    const [held] = (await fixture.topics.get('some.2')).partitionIds;
    const { pool } = fixture.database;
    await pool.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'refused on purpose'; end $$`,
    );
    const refuse = async (condition: string): Promise<void> => {
      await pool.query(`create trigger refuse before insert on waybill.consumer_position
                        for each row when (${condition}) execute function refuse()`);
    };
    await refuse('true');
    const { consumer } = await consume('some.*');
    await waitUntil(() => consumer.status.failures.length === 16, { describe: 'all have failed' });
    expect(await begun()).toBe(0);
    // A lane that may have been written before raises its epoch first, and a delivery that is just ending delays that.
    await fixture.transaction(async (client) => {
      await client.query('select from waybill.progress_owner where partition_id = $1 for share', [held]);
      await pool.query('drop trigger refuse on waybill.consumer_position');
      await refuse(`new.partition_id = ${refused}`);
      await untilBegun(14);
    });
    await untilBegun(15);
    await waitUntil(() => consumer.status.failures.length === 1, { describe: 'one is left' });
    expect(consumer.status.failures).toMatchObject([{ topic: 'some.1', partition: 0 }]);
    await pool.query('drop trigger refuse on waybill.consumer_position');
    await untilBegun(16);
  });
});
