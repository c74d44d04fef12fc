import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Fixture, numbersOf } from '../support/fixture.js';

describe('a message is published if and only if its transaction commits', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create();
  });
  afterAll(() => fixture.close());

  test('a rolled-back transaction publishes nothing, nor does a rolled-back savepoint', async () => {
    const client = await fixture.database.pool.connect();
    const send = (n: number) => fixture.outbox.publish(client, { topic: 'orders', key: 'a', payload: { n } });
    await client.query('begin');
    await send(1);
    await client.query('rollback');
    await client.query('begin');
    await send(2);
    await client.query('savepoint s');
    await send(3);
    await client.query('rollback to savepoint s');
    await send(4);
    await fixture.moveAll();
    expect(await fixture.log()).toEqual([]);
    await client.query('commit');
    await fixture.moveAll();
    client.release();
    expect(numbersOf(await fixture.log())).toEqual([2, 4]);
  });

  test('a prepared transaction publishes when it is committed, and not when it is rolled back', async () => {
    const client = await fixture.database.pool.connect();
    for (const n of [10, 11]) {
      await client.query('begin');
      await fixture.outbox.publish(client, { topic: 'orders', key: 'a', payload: { n } });
      await client.query(`prepare transaction 'waybill-${n}'`);
    }
    await fixture.publish(12);
    await fixture.moveAll();
    expect(numbersOf(await fixture.log())).toEqual([2, 4, 12]);
    await client.query(`commit prepared 'waybill-10'`);
    await client.query(`rollback prepared 'waybill-11'`);
    client.release();
    await fixture.moveAll();
    expect(numbersOf(await fixture.log())).toEqual([2, 4, 10, 12]);
  });

  test('what is published in SQL is in the log with its key and headers', async () => {
    const id = await fixture.value<string>(
      `select waybill.publish('orders', 'sql', '{"n": 20, "text": "naïve"}', '{"colour": "blue"}')`,
    );
    await fixture.moveAll();
    const record = (await fixture.log()).find((candidate) => candidate.id === id);
    expect(record).toMatchObject({
      key: 'sql',
      payload: { n: 20, text: 'naïve' },
      headers: { colour: 'blue' },
    });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
