import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';

describe('a slow transaction', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create();
  });
  afterAll(() => fixture.close());

  test('is not skipped, and what others publish in the meantime does not wait for it', async () => {
    const slow = await fixture.database.pool.connect();
    await slow.query('begin');
    await fixture.outbox.publish(slow, { topic: 'orders', key: 'slow', payload: { n: 0 } });
    for (const n of [1, 2, 3]) {
      await fixture.publish(n);
      await fixture.moveAll();
    }
    expect(numbersOf(await fixture.log())).toEqual([1, 2, 3]);
    await slow.query('commit');
    slow.release();
    await fixture.moveAll();
    const records = await fixture.log();
    expect(numbersOf(records)).toEqual([0, 1, 2, 3]);
    expect(faultsOf(records)).toEqual([]);
  });

  test('in another database of the cluster delays nothing', async () => {
    const other = await createDatabase({ connectionString: testServerUrl() }, 'other');
    const client = new pg.Client({ connectionString: other.connectionString });
    await client.connect();
    await client.query('create table t (x int)');
    await client.query('begin');
    await client.query('insert into t values (1)');
    await fixture.publish(4);
    await fixture.moveAll();
    expect(numbersOf(await fixture.log())).toEqual(upTo(5));
    await client.query('commit');
    await client.end();
    await other.drop();
  });

  test('that holds a snapshot for 300 passes slows neither outbox nor log, and sees none of their rows', async () => {
    const holder = await fixture.database.pool.connect();
    await holder.query('begin isolation level repeatable read');
    await holder.query('select count(*) from waybill.outbox');
    for (let n = 5; n < 305; n += 1) {
      await fixture.publish(n);
      await fixture.moveAll();
    }
    expect(numbersOf(await fixture.log())).toEqual(upTo(305));
    const { rows } = await holder.query('select count(*)::int as count from waybill.outbox');
    expect(rows[0]).toEqual({ count: 5 });
    await holder.query('commit');
    holder.release();
    // Nothing was updated in all this time: no table of Waybill has a dead row version.
    const changed =
      // `service` and `bus` are updated once: a test's copy gets ids of its own, and is bound.
      `select schemaname, relname, n_tup_upd::integer as updated, n_tup_del::integer as deleted from pg_stat_user_tables
        where schemaname in ('waybill', 'waybill_bus') and relname not in ('service', 'bus') and n_tup_upd + n_tup_del > 0`;
    for (const { pool } of [fixture.database, fixture.bus])
      expect((await pool.query(changed)).rows).toEqual([]);
  });
});
