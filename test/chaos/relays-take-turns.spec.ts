import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bindStatement, PgConnection } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import { relayBegin, relayIntend } from '../../libs/outbox/src/statements.generated.js';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';

describe('several relays', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create();
  });
  afterAll(() => fixture.close());

  test('never move at the same time: three at once skip nothing and duplicate nothing', async () => {
    const relays = await Promise.all(
      upTo(3).map(() =>
        startProgram('relay', { url: fixture.url, options: { smallDifferenceRows: 10, windowRows: 10 } }),
      ),
    );
    const publisher = await startProgram('publisher', { url: fixture.url, count: 3_000 });
    await publisher.waitForLine(/^done/, { timeoutMs: 60_000 });
    await waitUntil(async () => (await fixture.log()).length >= 3_000, {
      describe: 'everything is in the log',
      timeoutMs: 30_000,
      intervalMs: 100,
    });
    await Promise.all(relays.map(stopProgram));
    const records = await fixture.log();
    expect(faultsOf(records)).toEqual([]);
    expect(numbersOf(records)).toEqual(upTo(3_000));
    // Each moved some, so they did compete.
    const moved = relays.map(({ lines }) => Number(/moved (\d+)/.exec(lines.join('\n'))?.[1]));
    expect(moved.reduce((sum, count) => sum + count, 0)).toBe(3_000);
  });

  test('leave the outbox alone while another is within a pass', async () => {
    const client = await fixture.database.pool.connect();
    const first = new PgConnection(client);
    await first.runBatch([bindStatement(relayBegin, 100, 10_000)], { begin: true });
    await fixture.publish(4_000);
    expect(await fixture.relay().runOnce()).toBe('idle');
    expect((await fixture.log()).length).toBe(3_000);
    await first.rollback();
    client.release();
    await fixture.moveAll();
    expect((await fixture.log()).length).toBe(3_001);
  });

  test('write nothing more when held up within a pass for longer than the lease', async () => {
    const client = await fixture.database.pool.connect();
    client.on('error', () => undefined);
    const paused = new PgConnection(client);
    const [rows] = await paused.runBatch([bindStatement(relayBegin, 100, 300)], { begin: true });
    const [begun] = rows as { n: number; token: string; base: string; target: string }[];
    if (begun === undefined) throw new Error('the pass was not begun');
    await fixture.publish(5_000);
    // Its session is ended by the server, and with it the lock: the next relay takes over.
    await waitUntil(async () => (await fixture.relay().runOnce()) === 'again', {
      describe: 'another relay takes over',
    });
    expect((await fixture.log()).length).toBe(3_002);
    const { n, token, base, target } = begun;
    const intend = bindStatement(relayIntend, n, token, randomUUID(), base, target, 0, 0, 0, 0, [], n);
    await expect(paused.runBatch([intend], { commit: true })).rejects.toThrow();
    client.release(true);
    expect((await fixture.log()).length).toBe(3_002);
  });

  test('are overtaken when their process is paused at work, and do no harm when it resumes', async () => {
    const options = { leaseMs: 500, smallDifferenceRows: 1, windowRows: 1 };
    const paused = await startProgram('relay', { url: fixture.url, options });
    const before = (await fixture.log()).length;
    const publisher = await startProgram('publisher', { url: fixture.url, first: 10_000, count: 800 });
    await waitUntil(async () => (await fixture.log()).length > before + 20, {
      describe: 'it works',
      intervalMs: 1,
    });
    paused.stop();
    await publisher.waitForLine(/^done/, { timeoutMs: 60_000 });
    const other = await startProgram('relay', { url: fixture.url });
    await waitUntil(async () => (await fixture.log()).length === before + 800, {
      describe: 'the other relay has moved the rest',
      intervalMs: 50,
      timeoutMs: 30_000,
    });
    paused.cont();
    await fixture.publish(20_000);
    await waitUntil(async () => (await fixture.log()).length === before + 801, { describe: 'both continue' });
    await Promise.all([stopProgram(paused), stopProgram(other)]);
    const records = await fixture.log();
    expect(faultsOf(records)).toEqual([]);
    expect(new Set(numbersOf(records)).size).toBe(records.length);
  });
});
