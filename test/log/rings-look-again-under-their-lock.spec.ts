import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { LogAppender, type ReadyBatch, RecordBatchBuilder } from '@waybill/log';
import { LogRetention, PostgresLogEngine } from '@waybill/log/postgres';
import { appendCall } from '@waybill/log/postgres/internal';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
});
afterEach(() => fixture.close());

/** Inserts a row of which only some columns matter; the others get some value of their type. */
async function insertRow(
  client: pg.Pool | pg.PoolClient,
  table: string,
  given: Record<string, unknown>,
): Promise<void> {
  const { rows } = await client.query<{ name: string; type: string; filled: boolean }>(
    `select column_name as name, data_type as type, column_default is not null or is_nullable = 'YES' as filled
       from information_schema.columns where table_schema = 'waybill' and table_name = $1`,
    [table],
  );
  const fillers: Record<string, string> = {
    uuid: 'gen_random_uuid()',
    'timestamp with time zone': 'clock_timestamp()',
    json: `'{}'`,
    jsonb: `'{}'`,
    bytea: `''`,
    ARRAY: `'{}'`,
    text: `'x'`,
    pg_snapshot: 'pg_current_snapshot()',
    'USER-DEFINED': 'pg_current_snapshot()',
  };
  const columns = rows.filter(({ name, filled }) => name in given || !filled);
  const values = columns.map(({ name, type }) =>
    name in given ? String(given[name]) : (fillers[type] ?? '1'),
  );
  await client.query(
    `insert into waybill.${table} (${columns.map(({ name }) => name).join()}) values (${values.join()})`,
  );
}

interface Ring {
  readonly name: string;
  /** Makes a slot due to be emptied. */
  readonly due: (pool: pg.Pool) => Promise<unknown>;
  /** Adds rows to it that must not be lost. */
  readonly needed: (client: pg.PoolClient) => Promise<unknown>;
  readonly empty: string;
  /** How many of the needed rows exist. */
  readonly count: string;
}

const LONG_AGO = `now() - interval '300 days'`;
const OLD_GID = `'00000000-0000-7000-8000-000000000000'`;
const ring = (name: string, ring: Omit<Ring, 'name'>): Ring => ({ name, ...ring });

const RINGS: readonly Ring[] = [
  ring("the relay's cursors", {
    due: async (pool) => {
      await insertRow(pool, 'relay_cursor', { slot: 1, seq: -1 });
      await insertRow(pool, 'relay_cursor', { slot: 0, seq: 9_999 });
    },
    needed: (client) => insertRow(client, 'relay_cursor', { slot: 1, seq: 10_000 }),
    empty: 'select waybill.relay_cursor_recycle()',
    count: 'select count(*)::int from waybill.relay_cursor where seq = 10000',
  }),
  ring('the outbox', {
    due: async (pool) => {
      await insertRow(pool, 'outbox', { slot: 3, topic: `'orders'`, created_at: LONG_AGO });
      await fixture.moveAll();
    },
    needed: (client) =>
      insertRow(client, 'outbox', { slot: 3, topic: `'orders'`, key: `'k'`, created_at: LONG_AGO }),
    empty: 'select waybill.outbox_empty_slot(3, 0)',
    count: `select count(*)::int from waybill.outbox where key = 'k'`,
  }),
  ring('positions and marks', {
    due: async () => {},
    needed: (client) =>
      client.query(
        `with due as (select ((floor(extract(epoch from clock_timestamp()) / 3600)::bigint + 1) % 4)::smallint as slot),
              m as (insert into waybill.delivery_mark (slot, group_id, partition_id, log_offset, verdict)
                    select slot, 1, 1, 9, 1 from due)
         insert into waybill.consumer_position (slot, group_id, partition_id, position, in_flight_end)
         select slot, 1, 1, 7, 7 from due`,
      ),
    empty: `select waybill.consumer_recycle(((floor(extract(epoch from clock_timestamp()) / 3600)::bigint + 1) % 4)::int)`,
    count: `select (select count(*) from waybill.consumer_position where position = 7)::int
                   * (select count(*) from waybill.delivery_mark where log_offset = 9)::int`,
  }),
  ring('the inbox', {
    due: (pool) => insertRow(pool, 'inbox', { slot: 2, bucket_seq: 1 }),
    needed: (client) => insertRow(client, 'inbox', { slot: 2, bucket_seq: 100, log_offset: 2 }),
    empty: 'select waybill.inbox_empty_slot(2, 50)',
    count: 'select count(*)::int from waybill.inbox where bucket_seq = 100',
  }),
  ring('near timers', {
    due: async (pool) => {
      const slot = `((floor(extract(epoch from clock_timestamp()) / 3600)::bigint - 1) % 8)::smallint`;
      await insertRow(pool, 'timer', { slot });
      await pool.query('delete from waybill.timer');
    },
    needed: (client) =>
      insertRow(client, 'timer', {
        slot: `((floor(extract(epoch from clock_timestamp()) / 3600)::bigint - 1) % 8)::smallint`,
      }),
    empty: 'select waybill.timer_empty_slot()',
    count: 'select count(*)::int from waybill.timer',
  }),
  ring('decided half messages', {
    due: (pool) => insertRow(pool, 'half_message_decided', { slot: 2, state: 2, decided_at: LONG_AGO }),
    needed: (client) => insertRow(client, 'half_message_decided', { slot: 2, state: 2 }),
    empty: 'select waybill.half_empty_slot(2, 86400000)',
    count: `select count(*)::int from waybill.half_message_decided where decided_at > now() - interval '1 day'`,
  }),
  ring('message ids', {
    due: (pool) => insertRow(pool, 'idempotent_message', { slot: 2, keep_until: LONG_AGO }),
    needed: (client) =>
      insertRow(client, 'idempotent_message', {
        slot: 2,
        message_id: `'n'`,
        keep_until: `now() + interval '1 day'`,
      }),
    empty: 'select waybill.message_empty_slot(2)',
    count: `select count(*)::int from waybill.idempotent_message where message_id = 'n'`,
  }),
  ring('barriers', {
    due: (pool) => insertRow(pool, 'barrier', { slot: 2, gid: OLD_GID }),
    needed: (client) => insertRow(client, 'barrier', { slot: 2, gid: 'waybill.uuid_v7()', branch: `'n'` }),
    empty: 'select waybill.barrier_empty_slot(2)',
    count: `select count(*)::int from waybill.barrier where branch = 'n'`,
  }),
  ring('guarded work', {
    due: (pool) =>
      insertRow(pool, 'guard_outcome', {
        slot: `((floor(extract(epoch from clock_timestamp()) / 345600)::bigint + 3) % 16)::smallint`,
        expires_at: LONG_AGO,
      }),
    needed: (client) =>
      insertRow(client, 'guard_outcome', {
        slot: `((floor(extract(epoch from clock_timestamp()) / 345600)::bigint + 3) % 16)::smallint`,
        name: `'n'`,
        expires_at: `now() + interval '1 day'`,
      }),
    empty: `select waybill.guard_empty_slot(((floor(extract(epoch from clock_timestamp()) / 345600)::bigint + 3) % 16)::int)`,
    count: `select count(*)::int from waybill.guard_outcome where name = 'n'`,
  }),
  ring('external effects', {
    due: (pool) =>
      insertRow(pool, 'external_effect', {
        slot: '((waybill.effect_slot() + 5) % 16)::smallint',
        attempted_at: LONG_AGO,
      }),
    needed: (client) =>
      insertRow(client, 'external_effect', {
        slot: '((waybill.effect_slot() + 5) % 16)::smallint',
        key: `'n'`,
      }),
    empty: 'select waybill.effect_empty_slot((waybill.effect_slot() + 5) % 16, 86400000)',
    count: `select count(*)::int from waybill.external_effect where key = 'n'`,
  }),
  ring('ended sagas', {
    due: (pool) => insertRow(pool, 'saga_transition', { slot: 2, at: LONG_AGO }),
    needed: (client) => insertRow(client, 'saga_transition', { slot: 2, revision: 77 }),
    empty: 'select waybill.saga_empty_slot(2, 86400000)',
    count: 'select count(*)::int from waybill.saga_transition where revision = 77',
  }),
];

describe.each(RINGS)('the ring of $name', ({ due, needed, empty, count }) => {
  test('loses nothing that is committed between its check and its lock', async () => {
    const { pool } = fixture.database;
    await due(pool);
    const [writer, emptier] = [await pool.connect(), await pool.connect()];
    try {
      const { rows } = await emptier.query<{ pid: number }>('select pg_backend_pid() as pid');
      // It waits 50 ms for its lock, which is too short on a busy machine.
      const [, name = ''] = /waybill\.(\w+)\(/.exec(empty) ?? [];
      const signature = await fixture.value<string>(
        `select oid::regprocedure::text from pg_proc where proname = $1 and pronamespace = 'waybill'::regnamespace`,
        [name],
      );
      await pool.query(`alter function ${signature} set lock_timeout = '30s'`);
      await writer.query('begin');
      await needed(writer);
      const emptying = emptier.query(empty);
      await waitUntil(
        async () =>
          (await fixture.value(`select count(*)::int from pg_locks where pid = $1 and not granted`, [
            rows[0]?.pid,
          ])) > 0,
        { describe: 'it waits for its lock' },
      );
      await writer.query('commit');
      await emptying;
      expect(await fixture.value(count)).toBe(1);
    } finally {
      writer.release();
      emptier.release();
    }
  });
});

describe('the log, after a new bucket has begun', () => {
  const batchOf = (partitionId: number, n: number, sequence: number): ReadyBatch => {
    const builder = new RecordBatchBuilder();
    builder.append(Date.now(), null, Buffer.from(JSON.stringify({ n })), []);
    return {
      partitionId,
      recordCount: 1,
      maxTimestampMs: Date.now(),
      baseSequence: sequence,
      data: builder.build({ producerId: 7n, producerEpoch: 0, baseSequence: sequence }),
    };
  };
  const append = (...batches: ReadyBatch[]): Promise<unknown[][]> =>
    fixture.database.runTogether([appendCall(batches, 7, 'all')]);

  test('recognises a batch that is sent again, and continues where it was', async () => {
    const [partitionId] = (await fixture.topics.get('orders')).partitionIds as [number];
    const retention = new LogRetention(fixture.database, { bucketMs: 1 });
    await append(batchOf(partitionId, 0, 0), batchOf(partitionId, 1, 1));
    for (const n of upTo(5)) {
      await retention.runOnce();
      // The response was lost: the same batch, in a new bucket.
      const [rows] = await append(batchOf(partitionId, 1 + n, 1 + n));
      expect(rows).toEqual([{ partitionId, baseOffset: 1 + n }]);
      await append(batchOf(partitionId, 2 + n, 2 + n));
    }
    const records = await fixture.log();
    expect(faultsOf(records)).toEqual([]);
    expect(numbersOf(records)).toEqual(upTo(7));
  });

  test('returns a next offset that continues, even if buckets are empty', async () => {
    const [partitionId] = (await fixture.topics.get('orders')).partitionIds as [number];
    await append(batchOf(partitionId, 0, 0), batchOf(partitionId, 1, 1));
    await new LogRetention(fixture.database, { bucketMs: 1 }).runOnce();
    await fixture.database.pool.query(
      `insert into waybill_bus.log_segment (partition_id, bucket_seq, slot, first_offset)
       select $1, b.seq, b.slot, 2 from waybill_bus.log_bucket b order by b.seq desc limit 1`,
      [partitionId],
    );
    expect(await fixture.value('select waybill_bus.log_next_offset($1)::int', [partitionId])).toBe(2);
    await append(batchOf(partitionId, 2, 2));
    expect(faultsOf(await fixture.log())).toEqual([]);
  });

  test('is never read with a gap, even with a map that is a full ring old', async () => {
    const [partitionId] = (await fixture.topics.get('orders')).partitionIds as [number];
    await fixture.database.pool.query('update waybill.topic set retention_ms = 1');
    const reader = new PostgresLogEngine(fixture.database);
    const retention = new LogRetention(fixture.database, { bucketMs: 1 });
    await fixture.publish(0);
    await fixture.moveAll();
    expect((await reader.fetch([{ partitionId, offset: 0 }])).batches).toHaveLength(1);
    // Its map says bucket 1 in slot 1; by now that slot holds bucket 10.
    for (let n = 1; (await fixture.value('select max(seq)::int from waybill_bus.log_bucket')) < 10; n += 1) {
      await retention.runOnce();
      await fixture.publish(n);
      await fixture.moveAll();
    }
    for (const offset of [0, 1, 2]) {
      await expect(reader.fetch([{ partitionId, offset }])).rejects.toMatchObject({
        code: 'OFFSET_OUT_OF_RANGE',
      });
    }
  });

  test('takes records under another producer id when the sequence numbers run out', async () => {
    const appender = new LogAppender(fixture.engine, { producerRecordsMax: 10 });
    for (const n of upTo(45)) {
      await appender.append({ topic: 'orders', value: Buffer.from(JSON.stringify({ n })), headers: [] });
    }
    await appender.close();
    const records = await fixture.log();
    expect(faultsOf(records)).toEqual([]);
    expect(numbersOf(records)).toEqual(upTo(45));
    expect(await fixture.value('select max(base_sequence)::int from waybill_bus.log_batch')).toBeLessThan(20);
    expect(
      await fixture.value('select count(distinct producer_id)::int from waybill_bus.log_batch'),
    ).toBeGreaterThan(3);
  });
});
