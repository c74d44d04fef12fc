import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { TransactionRunner } from '@waybill/kernel';
import { Outbox, type TransactionHandle } from '@waybill/outbox';
import { Fixture } from '../support/fixture.js';
import { type Orm, ORMS } from './orms.js';

/** Their drivers hide the server's errors from Waybill: it can only report that an error was swallowed. */
const SILENT = /Prisma|postgres\.js/;

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create();
});
afterAll(() => fixture.close());

/** Every error from the outermost to its deepest cause. */
function causes(error: unknown): unknown[] {
  const { cause } = (error ?? {}) as { readonly cause?: unknown };
  return cause === undefined ? [error] : [error, ...causes(cause)];
}

describe.each(ORMS)('a statement has failed in a transaction by $name', ({ connect, name }) => {
  let orm: Orm<TransactionHandle>;
  beforeAll(async () => {
    orm = await connect(fixture.url, 2);
  });
  afterAll(() => orm.close());

  const swallow = (tx: TransactionHandle): Promise<unknown> =>
    orm.execute(tx, 'select 1 / 0').catch(() => undefined);
  const expectNamed = (error: unknown): void => {
    expect(error).toBeInstanceOf(Error);
    if (!SILENT.test(name)) {
      expect((error as Error).message).toContain('division by zero');
      expect(causes(error)).toContainEqual(expect.objectContaining({ code: '22012' }));
    }
    expect((error as Error).message).toMatch(/was caught|earlier statement in it had failed/);
  };

  test('a handler has swallowed that: its attempt fails with the error of the statement', async () => {
    const runner = orm.transactions?.('waybill', true) as TransactionRunner<TransactionHandle> | undefined;
    if (runner === undefined) return;
    const failing = runner.run({ timeoutMs: 60_000, work: ({ handle }) => swallow(handle) });
    expectNamed(await failing.catch((error: unknown) => error));
  });

  test('and a message is published: it is refused with the error of the statement', async () => {
    const failing = orm.transaction(async (tx) => {
      const outbox = new Outbox();
      // A client of yours is watched from the first publication on.
      await outbox.publish(tx, { topic: 'orders', payload: {} });
      await swallow(tx);
      await outbox.publish(tx, { topic: 'orders', payload: {} });
    });
    expectNamed(await failing.catch((error: unknown) => error));
  });
});
