import { afterEach, describe, expect, test } from '@jest/globals';
import { waitUntil } from '@waybill/testing';
import {
  begin,
  closeFloor,
  command,
  floor,
  numbers,
  opened,
  stuck,
  tell,
} from '../support/saga/shipping-floor.js';

afterEach(closeFloor);

const ADA = { by: 'ada', reason: 'the lorry is back' };
const statesOf = async (ids: readonly string[]): Promise<string[]> =>
  Promise.all(ids.map(async (id) => (await floor.operations.show(id)).state));

/** A step as a raw row, as another process has prepared it. */
const step = (bulk: number, after: string, saga: string, revision: number): Promise<unknown> =>
  floor.database.pool.query(
    `select waybill.saga_bulk_step($1, $2, array[$3]::uuid[], array[$4]::bigint[], array['ship'], $3, true)`,
    [bulk, after, saga, revision],
  );
const NO_ID = '00000000-0000-0000-0000-000000000000';

/** How many operator orders each saga got, by outcome. */
async function ordersOf(ids: readonly string[]): Promise<{ applied: number; refused: number }[]> {
  return Promise.all(
    ids.map(async (id) => {
      const { actions } = await floor.operations.show(id);
      const count = (outcome: string): number => actions.filter((each) => each.outcome === outcome).length;
      return { applied: count('applied'), refused: count('refused') };
    }),
  );
}

test('an order to one saga, by command, resolves its step and keeps who gave it and why', async () => {
  await opened();
  const [id = ''] = await stuck(['A-1']);
  await floor.carry();
  const words = ['resolve', id, 'ship', '{}', '--by', 'ada', '--because', 'brought by hand'];
  expect(await command('list', '--state', 'STUCK')).toContain(id);
  expect(await command(...words)).toContain('would resolve step ship; use --yes to do so\n');
  expect(await statesOf([id])).toEqual(['STUCK']);
  expect(await command(...words, '--yes')).toMatch(/: resolve step ship, carried out; it is COMPLETED at/);
  expect((await floor.operations.show(id)).actions).toMatchObject([
    { action: 'saga.resolve', by: 'ada', reason: 'brought by hand', outcome: 'applied' },
  ]);
});

describe('an order to many sagas', () => {
  test('goes to those that match, with its operator and reason, and without --yes only counts them', async () => {
    await opened();
    const mine = await stuck(['A-1', 'A-2', 'A-3']);
    const others = await stuck(['B-1'], { customer: 5 });
    const running = await begin('A-4', { customer: 17_850 });
    await floor.carry();
    const words = [
      'retry',
      '--all',
      '--where',
      'customer=17850',
      '--type',
      'orders.ship',
      '--state',
      'STUCK',
    ];
    const counted = '3 sagas would have a step retried; use --yes to do so\n';
    expect(await command(...words)).toBe(counted);
    expect(await command(...words, '--dry-run')).toBe(counted);
    expect(await command(...words, '--step', 'ship')).toBe(counted);
    expect(await command(...words, '--step', 'go')).toBe(counted.replace('3', '0'));
    const printed = await command(...words, '--by', 'ada', '--because', 'the lorry is back', '--yes');
    expect(printed).toMatch(/^bulk order 1: 3 of 3 given, \d carried out\n/);
    expect(printed).toMatch(
      /\nbulk order 1 is done: 3 carried out, 0 refused, 0 skipped because they had changed\n$/,
    );
    expect(process.exitCode).toBeUndefined();
    expect(await statesOf([...mine, ...others, running])).toEqual([
      ...mine.map(() => 'COMPLETED'),
      'STUCK',
      'RUNNING',
    ]);
    const [first = ''] = mine;
    expect((await floor.operations.show(first)).actions).toMatchObject([
      { action: 'saga.retry', by: 'ada', reason: 'the lorry is back', outcome: 'applied' },
    ]);
    const { rows } = await floor.database.pool.query(
      `select action, stated_by, reason, target_kind, target, details->'total' as total from waybill.operator_action order by id`,
    );
    expect(rows[0]).toEqual({
      action: 'saga.retry',
      stated_by: 'ada',
      reason: 'the lorry is back',
      target_kind: 'saga-bulk',
      target: '1',
      total: 3,
    });
    expect(rows.slice(1).map(({ target }) => target as string)).toEqual(mine);
    expect(await floor.operations.bulk.list()).toMatchObject([
      { id: 1, by: 'ada', order: 'retry', applied: 3 },
    ]);
  });

  test('skips, cancels and compensates as well, and applies only to those that allow it', async () => {
    await opened();
    const skipped = await stuck(['A-1', 'A-2'], { customer: 1 });
    const turned = await stuck(['B-1'], { customer: 2 });
    const waiting = await Promise.all(['C-1', 'C-2'].map((key) => begin(key, { customer: 3 })));
    await floor.carry();
    const all = (order: string, customer: number, ...words: string[]): Promise<string> =>
      command(order, '--all', '--where', `customer=${customer}`, '--yes', ...words);
    expect(await all('skip', 1)).toContain('2 carried out');
    // It has passed its pivot: a cancel is refused, but an operator may still compensate.
    expect(await all('cancel', 2)).toContain('is done: 0 carried out, 1 refused, 0 skipped');
    expect(await all('compensate', 2)).toContain('1 carried out');
    expect(await all('skip', 3)).toContain('is done: 0 carried out, 0 refused, 0 skipped');
    expect(await all('skip', 3, '--step', 'decide')).toContain('is done: 0 carried out');
    expect(await all('cancel', 3, '--because', 'not wanted')).toContain('2 carried out');
    expect(await statesOf([...skipped, ...turned, ...waiting])).toEqual([
      'COMPLETED',
      'COMPLETED',
      'COMPENSATED',
      'CANCELLED',
      'CANCELLED',
    ]);
    expect((await floor.operations.show(waiting[0] as string)).reason).toMatch(
      /^cancelled by .*: not wanted$/,
    );
    expect((await floor.operations.bulk.list()).map(({ order }) => order)).toEqual([
      'cancel',
      'skip',
      'skip',
      'compensate',
      'cancel',
      'skip',
    ]);
  });

  test('skips and counts sagas that have moved on or ended between the query and the order', async () => {
    await opened();
    const ids = await stuck(numbers(4));
    const { id } = await floor.operations.bulk.start(
      'retry',
      { states: ['STUCK'] },
      { ...ADA, perSecond: 5 },
    );
    // One ends before its turn, one has another order pending, and one moves on while its order is pending.
    await tell(ids[1] as string, { type: 'retry', step: 'ship' });
    await floor.operations.skip(ids[2] as string, 'ship', ADA, { waitMs: 0 }).catch(() => {});
    const run = floor.operations.bulk.resume(id, { waitMs: 20_000 });
    await waitUntil(async () => (await floor.operations.bulk.show(id)).state === 'done', {
      describe: () => 'all are ordered',
    });
    await tell(ids[3] as string, { type: 'retry', step: 'ship' });
    await floor.carry();
    expect(await run).toMatchObject({ total: 4, ordered: 2, applied: 1, refused: 1, skipped: 2, waiting: 0 });
    expect(await ordersOf(ids)).toEqual([
      { applied: 1, refused: 0 },
      { applied: 0, refused: 0 },
      { applied: 1, refused: 0 },
      { applied: 0, refused: 1 },
    ]);
    expect(await statesOf(ids)).toEqual(ids.map(() => 'COMPLETED'));
    // One that was seen at another revision, and one that is gone.
    const [late = ''] = await stuck(['late']);
    for (const [saga, revision] of [
      [late, 1],
      [ids[0] as string, 2],
    ] as const) {
      const other = await floor.operations.bulk.start('retry', { states: ['STUCK'] }, ADA);
      await step(other.id, NO_ID, saga, revision);
      expect(await floor.operations.bulk.show(other.id)).toMatchObject({
        state: 'done',
        ordered: 0,
        skipped: 1,
      });
    }
    expect(await ordersOf([late])).toEqual([{ applied: 0, refused: 0 }]);
  });

  test('of two operators at once moves each saga on once', async () => {
    await opened();
    const ids = await stuck(numbers(150));
    await floor.carry();
    const query = { where: { customer: 17_850 } };
    const run = async (order: 'retry' | 'skip'): Promise<{ applied: number; refused: number }> => {
      const { id } = await floor.operations.bulk.start(order, query, ADA);
      return floor.operations.bulk.resume(id);
    };
    const [one, other] = await Promise.all([run('retry'), run('skip')]);
    expect(one.applied + other.applied).toBe(150);
    const orders = await ordersOf(ids);
    expect(orders.filter(({ applied }) => applied !== 1)).toEqual([]);
    expect(await statesOf(ids)).toEqual(ids.map(() => 'COMPLETED'));
  });

  test('that was interrupted continues where it was, by two processes at once, at its rate', async () => {
    await opened();
    const ids = await stuck(numbers(30));
    await floor.carry();
    const { id } = await floor.operations.bulk.start(
      'retry',
      { type: 'orders.ship' },
      { ...ADA, perSecond: 50 },
    );
    const stop = new AbortController();
    const first = await floor.operations.bulk.resume(id, {
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    expect(first).toMatchObject({ state: 'running', total: 30, ordered: 10 });
    // A step prepared after a different position does nothing.
    await step(id, NO_ID, ids[20] as string, 2);
    expect(await floor.operations.bulk.show(id)).toMatchObject({ state: 'running', ordered: 10, skipped: 0 });
    const begun = performance.now();
    await expect(command('cancel', '--resume', String(id))).rejects.toThrow(
      `bulk order ${id} is a retry order: use waybill saga retry --resume ${id}`,
    );
    const [printed, beside] = await Promise.all([
      command('retry', '--resume', String(id)),
      floor.operations.bulk.resume(id),
    ]);
    // 20 are left: the second 10 come 200 ms after the first.
    expect(performance.now() - begun).toBeGreaterThan(150);
    expect(printed).toContain(`bulk order ${id} is done: 30 carried out, 0 refused, 0 skipped`);
    expect(beside).toMatchObject({ ordered: 30, applied: 30 });
    expect((await ordersOf(ids)).every(({ applied, refused }) => applied === 1 && refused === 0)).toBe(true);
    await expect(floor.operations.bulk.cancel(id, ADA)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('whose process is stopped prints how to continue', async () => {
    await opened();
    await stuck(numbers(3));
    const running = command('retry', '--all', '--type', 'orders.ship', '--rate', '1', '--yes');
    const ordered = () => floor.fixture.value('select count(*)::int from waybill.saga_order');
    await waitUntil(async () => (await ordered()) === 1, { describe: () => 'the first is ordered' });
    process.emit('SIGINT');
    expect(await running).toMatch(/\ninterrupted; continue with: waybill saga retry --resume 1\n$/);
    expect(process.exitCode).toBe(130);
    await floor.operations.bulk.cancel(1, ADA);
    expect(await command('retry', '--resume', '1', '--wait', '10ms')).toBe(
      'bulk order 1 is cancelled: 0 carried out, 0 refused, 0 skipped because they had changed\n' +
        '1 orders wait: they are carried out when their service runs, if the saga is unchanged\n',
    );
    expect(process.exitCode).toBe(1);
  });

  test('gives no more orders than its services process', async () => {
    await opened();
    await floor.database.pool.query(
      `insert into waybill.saga (id, saga_type, definition_version, saga_key, reply_topic, state, started_at, changed_at, content)
       select waybill.uuid_v7(), 'orders.ship', 1, 'K-' || n, 'orders.saga-replies', 1, now(), now(),
              '{"direction": "forward", "steps": {}, "data": {}}' from generate_series(1, 1500) n`,
    );
    const { id } = await floor.operations.bulk.start(
      'cancel',
      { type: 'orders.ship' },
      { ...ADA, perSecond: 100_000 },
    );
    const end = await floor.operations.bulk.resume(id, { waitMs: 300 });
    expect(end).toMatchObject({ state: 'running', total: 1_500, ordered: 1_000, waiting: 1_000 });
  });

  test('leaves out sagas that it must read and cannot, and reports them', async () => {
    await opened();
    await stuck(['A-1']);
    const sealed = await stuck(['A-2', 'A-3']);
    await floor.database.pool.query(
      `update waybill.saga set content = '{"sealed": "AAAA"}' where id = any ($1::uuid[])`,
      [sealed],
    );
    expect(await command('retry', '--all', '--state', 'STUCK')).toBe(
      '1 sagas would have a step retried; use --yes to do so\n' +
        '2 more cannot be read, so their steps are unknown: use --cipher\n',
    );
    expect(await command('cancel', '--all', '--state', 'STUCK')).toMatch(/^3 sagas would be cancelled/);
    expect(await floor.operations.list({ step: 'ship' })).toMatchObject([{ key: 'A-1' }]);
  });

  test('that is ambiguous is refused, and nothing is written', async () => {
    await opened();
    const [id = ''] = await stuck(['A-1']);
    for (const [words, why] of [
      [['retry', '--all', '--yes'], 'say which sagas'],
      [['cancel', '--all'], 'say which sagas'],
      [['retry', '--all', '--step', 'ship', '--yes'], 'say which sagas'],
      [['retry'], 'give a saga and its step, or --all'],
      [['retry', id], 'give a saga and its step, or --all'],
      [['cancel'], 'give a saga, or --all'],
      [['cancel', id, '--all', '--type', 'x'], 'give one saga or --all, not both'],
      [['cancel', id, '--type', 'x'], 'need --all'],
      [['cancel', id, '--dry-run'], 'need --all'],
      [['cancel', '--where', 'a=1', '--yes'], 'need --all'],
      [['cancel', '--all', '--type', 'x', '--dry-run', '--yes'], 'use --dry-run or --yes, not both'],
      [['cancel', '--all', '--type', 'x', '--revision', '1'], '--revision is for one saga'],
      [['cancel', '--all', '--where', 'a', '--yes'], '--where takes name=value'],
      [['cancel', '--all', '--state', 'GONE', '--yes'], 'states must be an array of'],
      [['cancel', '--all', '--state', 'COMPLETED', '--yes'], 'sagas that are COMPLETED have ended'],
      [['cancel', '--all', '--type', 'x', '--rate', '0', '--yes'], 'perSecond must be a whole number from 1'],
      [['cancel', '--resume', '1', '--all'], '--resume continues a bulk order'],
    ] as const)
      await expect(command(...words)).rejects.toMatchObject({
        code: 'CONFIGURATION_INVALID',
        message: expect.stringContaining(why),
      });
    await expect(command('cancel', '--resume', '7')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    for (const words of [
      ['cancel', '--all', '--rate', 'x'],
      ['cancel', '--resume', 'x'],
      ['cancel', '--al'],
    ])
      await expect(command(...words)).rejects.toMatchObject({ exitCode: 1 });
    await expect(floor.operations.bulk.start('resolve' as never, { type: 'x' }, ADA)).rejects.toThrow(
      'the order must be one of retry, skip, compensate, cancel',
    );
    await expect(floor.operations.bulk.start('cancel', { type: 'x' }, { by: ' ' })).rejects.toThrow(
      'by must name',
    );
    await expect(floor.operations.bulk.start('cancel', { where: {} }, ADA)).rejects.toThrow(
      'say which sagas',
    );
    expect(await floor.fixture.value('select count(*)::int from waybill.saga_bulk')).toBe(0);
    expect(await floor.fixture.value('select count(*)::int from waybill.saga_order')).toBe(0);
  });
});
