import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Bell, newId } from '@waybill/kernel';
import { Waybill, WaybillHealthIndicator, WaybillMetrics } from '@waybill/nestjs';
import { OutboxBacklogWatch, outboxBacklogs } from '@waybill/outbox/internal';
import { applyGrants } from '@waybill/schema';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { createProgram } from '@waybill/cli';
import { Fixture, numbersOf, upTo } from '../support/fixture.js';

let fixture: Fixture;
const role = `flooder_${process.pid}`;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { backlogMaxMessages: 20 }, other: {} });
  await fixture.database.pool.query(`create role ${role} login password 'secret'`);
  await fixture.database.withConnection((connection) =>
    applyGrants(connection, {
      roles: ['publisher'],
      login: role,
      ...(fixture.bus !== fixture.database && { part: 'service' }),
    }),
  );
});
afterEach(async () => {
  await fixture.database.pool.query(`drop owned by ${role}; drop role ${role}`);
  await fixture.close();
});

/** Publishes as a login that has no other right. */
async function asPublisher<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const url = new URL(fixture.directUrl);
  url.username = role;
  url.password = 'secret';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function flood(count: number): Promise<unknown> {
  return asPublisher((client) =>
    client.query(
      `select waybill.publish('orders', 'k', jsonb_build_object('n', i)) from generate_series(1, $1) i`,
      [count],
    ),
  );
}

const measure = (): Promise<unknown> => new OutboxBacklogWatch(fixture.database, new Bell()).runOnce(0);

async function command(...args: string[]): Promise<string> {
  let said = '';
  const program = createProgram({ write: (text) => void (said += text) });
  await program.parseAsync(['node', 'waybill', ...fixture.urlArguments, ...args]);
  return said;
}

describe('what waits in the outbox', () => {
  test('is reported by topic and role: metric, health, command and doctor', async () => {
    await flood(30);
    await fixture.publish(1, 'k', 'other');
    await measure();
    expect(await outboxBacklogs(fixture.database.session)).toMatchObject([
      {
        topic: 'orders',
        role,
        waiting: 30,
        full: expect.stringMatching(/30 messages.*by flooder.*limit is 20/),
      },
      { topic: 'other', waiting: 1, full: null },
    ]);
    const waybill = new Waybill('default', { ...fixture.moduleOptions, relay: false });
    try {
      const text = await new WaybillMetrics(waybill).text();
      expect(text).toContain(`waybill_outbox_backlog_messages{topic="orders",role="${role}"} 30`);
      expect(text).toContain(`waybill_outbox_refused{topic="orders",role="${role}"} 1`);
      expect(text).toMatch(/waybill_outbox_size_bytes [1-9]/);
      expect((await new WaybillHealthIndicator(waybill).isHealthy())['waybill']).toMatchObject({
        status: 'degraded',
        outboxBacklogs: [{ topic: 'orders', role, waiting: 30 }, { topic: 'other' }],
      });
    } finally {
      await waybill.stop();
    }
    expect(await command('outbox', 'backlog')).toMatch(new RegExp(`orders +${role} +30`));
    expect(await command('doctor')).toMatch(
      new RegExp(`problem +outbox +new messages to orders.*30 of orders by ${role}`),
    );
    process.exitCode = undefined;
  });

  test('is bounded: more is refused with a typed error, in SQL as well, until there is room again', async () => {
    await flood(25);
    await measure();
    await expect(fixture.publish(1)).rejects.toMatchObject({ code: 'OUTBOX_FULL', retryable: true });
    await expect(flood(1)).rejects.toMatchObject({ code: 'WB010', detail: 'orders' });
    await fixture.publish(2, 'k', 'other');
    await fixture.moveAll();
    await measure();
    await fixture.publish(3, 'k');
    await fixture.moveAll();
    expect(numbersOf(await fixture.log())).toEqual([...upTo(26).slice(1), 3].toSorted((a, b) => a - b));
  });

  test('is bounded in bytes, and a limit can be changed and removed', async () => {
    await fixture.topics.configure('other', { backlogMaxBytes: 1_000 });
    await fixture.transaction((client) =>
      fixture.outbox.publish(client, { topic: 'other', payload: { n: 1, text: 'x'.repeat(2_000) } }),
    );
    await measure();
    await expect(fixture.publish(2, 'k', 'other')).rejects.toMatchObject({ code: 'OUTBOX_FULL' });
    await command('topic', 'set', 'other', '--backlog-max-bytes', '0');
    await measure();
    await fixture.publish(2, 'k', 'other');
  });

  test('is measured by a process that only publishes when no relay runs, and not more often than is needed', async () => {
    const url = new URL(fixture.directUrl);
    url.username = role;
    url.password = 'secret';
    const waybill = new Waybill('default', {
      ...fixture.moduleOptions,
      database: { connectionString: url.href },
      relay: false,
      consumer: false,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    });
    await waybill.start();
    try {
      await flood(25);
      await waitUntil(
        () =>
          fixture.value<boolean>(`select outbox_full is not null from waybill.topic where name = 'orders'`),
        { describe: 'the topic is full' },
      );
      await expect(
        fixture.transaction((client) =>
          waybill.outbox.publish(client, { topic: 'orders', payload: 1, id: newId() }),
        ),
      ).rejects.toMatchObject({ code: 'OUTBOX_FULL' });
    } finally {
      await waybill.stop();
    }
    await fixture.moveAll();
    expect(await fixture.value(`select count(*)::int from waybill.outbox_measure(60000)`)).toBe(0);
    expect(await fixture.value(`select count(*)::int from waybill.outbox_measure(0)`)).toBe(1);
  });

  test.each([{ backlogMaxMessages: -1 }, { backlogMaxMessages: 1_000_001 }, { backlogMaxBytes: 1.5 }])(
    'refuses the limit %j',
    async (limit) => {
      await expect(fixture.topics.create('new', limit)).rejects.toMatchObject({
        code: 'CONFIGURATION_INVALID',
      });
    },
  );
});
