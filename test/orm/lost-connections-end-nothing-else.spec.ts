import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { TransactionRunner } from '@waybill/kernel';
import type { TransactionHandle } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';
import { type Orm, ORMS } from './orms.js';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create();
  await fixture.database.pool.query('create table business (n int)');
});
afterAll(() => fixture.close());

// A connection of Prisma's own pool cannot be reached from outside, nor one of postgres.js.
const REACHED = ORMS.filter(({ name }) => !/Prisma|postgres\.js/.test(name));

describe.each(REACHED.map((kind) => [kind.name, kind] as const))('%s', (_, kind) => {
  let proxy: TcpProxy;
  let orm: Orm<TransactionHandle>;
  let runner: TransactionRunner<TransactionHandle>;
  beforeEach(async () => {
    proxy = await TcpProxy.start(fixture.url);
    // One connection, so that the test notices when it is not returned.
    orm = await kind.connect(proxy.url, 1);
    runner = orm.transactions?.('waybill', true) as TransactionRunner<TransactionHandle>;
    // On an idle connection an error of pg's client has no query to fail.
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 1) });
  });
  afterEach(async () => {
    await Promise.race([orm.close(), sleep(2_000)]);
    await proxy.close();
  });

  test('a connection that is lost while its handler works ends the transaction, not the process', async () => {
    const run = runner.run({
      timeoutMs: 60_000,
      work: async ({ handle }) => {
        await orm.insert(handle, 2);
        proxy.cut();
        await waitUntil(() => proxy.connections === 0, { describe: 'the connections are cut' });
      },
    });
    await expect(run).rejects.toThrow();
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 3) });
  });

  test('a connection that is lost at BEGIN does not affect the next transaction', async () => {
    const begin = ['begin', 'BEGIN', 'start transaction', 'START TRANSACTION'];
    let failed = false;
    for (const text of begin) {
      if (failed) break;
      proxy.cutWhenSent(text, 1);
      const run = runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 7) });
      failed = await run.then(
        () => false,
        () => true,
      );
    }
    expect(failed).toBe(true);
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 8) });
  });

  test('a connection that goes silent under a handler does not affect the next transaction', async () => {
    const run = runner.run({
      timeoutMs: 300,
      work: async ({ handle }) => {
        await orm.insert(handle, 4);
        proxy.silence();
        await orm.insert(handle, 5);
      },
    });
    await expect(run).rejects.toThrow();
    proxy.heal();
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 6) });
  });
});
