import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { resolveSubscription } from '@waybill/consumer';
import { GuardRetention } from '@waybill/guard';
import { LogRetention } from '@waybill/log/postgres';
import { OutboxRetention } from '@waybill/outbox';
import { saga, sagaCommand, SagaRetention } from '@waybill/saga';
import { DeadLetterRetention } from '@waybill/dead-letter';
import { testServerUrl, waitUntil } from '@waybill/testing';
import pg from 'pg';
import type { Fixture } from '../support/fixture.js';
import { HalfFloor } from '../support/half-operations.js';
import {
  builtStatements,
  hostileCalls,
  lockHostileObjects,
  operatorNames,
  plantHostileObjects,
} from '../support/hostile-objects.js';
import { messageIdGuardOf } from '../support/message-guard.js';
import { note, SagaFloor } from '../support/saga/sagas.js';

interface Order {
  readonly orderId: string;
}

const reserve = sagaCommand<Order, { shelf: number }>('stock.reserve');
const release = sagaCommand<Order>('stock.release');
const quick = { timeoutMs: 60_000, delayMs: 20, maxDelayMs: 40 };
const placeOrder = saga<Order>('orders.place')
  .step('reserve', {
    invoke: reserve,
    with: ({ orderId }) => ({ orderId }),
    then: ({ shelf }) => ({ shelf }),
    undo: { invoke: release, with: ({ orderId }) => ({ orderId }), policy: quick },
    policy: quick,
  })
  .build();

describe('objects of other roles in a schema of the search path', () => {
  let floor: SagaFloor;
  let fixture: Fixture;
  let owner: pg.Client;
  const app = `plain_app_${process.pid}`;
  beforeAll(async () => {
    floor = await SagaFloor.open([placeOrder as never]);
    fixture = floor.fixture;
    await fixture.topics.create('orders', {});
    owner = new pg.Client({ connectionString: fixture.url });
    await owner.connect();
    await plantHostileObjects(owner);
  });
  afterAll(async () => {
    await owner.end();
    await floor.close();
    await dropRoles([app, `hostile_${process.pid}`]);
  });

  test('the test finds operators and statements in our SQL', async () => {
    expect(operatorNames()).toEqual(expect.arrayContaining(['%', '->>', '||', '<', '=']));
    expect((await builtStatements()).length).toBeGreaterThan(120);
  });

  test('a message, a timer, a saga, a half message and their guards call none on their whole way', async () => {
    const handled: unknown[] = [];
    const guard = messageIdGuardOf();
    const subscription = resolveSubscription(
      'orders',
      async ({ payload, messageId, transaction }) => {
        await guard.once(transaction as pg.PoolClient, 'orders', messageId as string, () =>
          Promise.resolve(handled.push(payload)),
        );
      },
      {},
    );
    await floor.carry();
    await floor.serve('stock', {
      'stock.reserve': note('reserve', { shelf: 1 }),
      'stock.release': note('release'),
    });
    await floor.consume('buyers', [subscription]);

    await fixture.publish(1);
    await fixture.transaction(async (client) => {
      await floor.outbox.publishMany(
        client,
        [2, 3].map((n) => ({ topic: 'orders', key: 'k', payload: { n } })),
      );
      await floor.outbox.publish(client, {
        topic: 'orders',
        payload: { n: 4 },
        delayMs: 50,
        timerToken: 'a',
      });
      await floor.outbox.publish(client, {
        topic: 'orders',
        payload: { n: 5 },
        delayMs: 3_600_000,
        timerToken: 'b',
      });
      await floor.outbox.rescheduleTimer(client, { token: 'b' }, { delayMs: 10 });
      await client.query(`select waybill.publish('orders', 'k', '{"n": 6}')`);
      await client.query(`select waybill.publish('orders', 'k', '{"n": 7}', null, clock_timestamp())`);
    });
    const { id } = await floor.start(placeOrder as never, 'A-1', { orderId: 'A-1' } as never);
    const halves = new HalfFloor(fixture);
    const half = await halves.halves.prepare({ topic: 'orders', payload: { n: 8 } });
    await halves.halves.commit(half.id);

    await floor.until(id, 'COMPLETED');
    await waitUntil(() => handled.length === 8, { describe: () => `handled: ${JSON.stringify(handled)}` });
    for (const task of [
      new OutboxRetention(fixture.database, { retentionMs: 0 }),
      new LogRetention(fixture.database, { bucketMs: 1 }),
      new DeadLetterRetention(fixture.database),
      new SagaRetention(fixture.database),
      new GuardRetention(fixture.database.session),
    ])
      await task.runOnce();
    expect(await hostileCalls(owner)).toBe(0);
  });

  test('none of our statements uses one', async () => {
    await owner.query(
      `create role ${app}; grant usage on schema waybill, waybill_bus to ${app};
       grant all on all tables in schema waybill, waybill_bus to ${app};
       grant all on all sequences in schema waybill, waybill_bus to ${app};
       grant execute on all routines in schema waybill, waybill_bus to ${app}`,
    );
    await lockHostileObjects(owner);
    await owner.query(`set role ${app}; set plan_cache_mode = force_generic_plan`);
    const calling: string[] = [];
    try {
      for (const { name, text } of await builtStatements()) {
        await owner.query('begin');
        try {
          await owner.query(`prepare probe as ${text}`);
          const count = Math.max(0, ...[...text.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n)));
          const nulls = Array.from({ length: count }, () => 'null').join(', ');
          await owner.query(`explain execute probe${count === 0 ? '' : `(${nulls})`}`);
        } catch (error) {
          calling.push(`${name}: ${(error as Error).message}`);
        }
        await owner.query('rollback');
        await owner.query('deallocate all');
      }
    } finally {
      await owner.query('reset role; reset plan_cache_mode');
    }
    expect(calling).toEqual([]);
    expect(await hostileCalls(owner)).toBe(0);
  });

  test('each of our functions pins its search path, or was resolved when it was created', async () => {
    const { rows } = await owner.query<{ name: string }>(
      `select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace in ('waybill'::regnamespace, 'waybill_bus'::regnamespace) and p.prosqlbody is null
          and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)`,
    );
    expect(rows).toEqual([]);
  });
});

/** Once the database is gone, and with it the objects that they own. */
async function dropRoles(roles: readonly string[]): Promise<void> {
  const server = new pg.Client({ connectionString: testServerUrl() });
  await server.connect();
  for (const role of roles) await server.query(`drop role if exists ${role}`);
  await server.end();
}
