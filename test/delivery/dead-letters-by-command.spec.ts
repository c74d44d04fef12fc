import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import type { Handler } from '@waybill/consumer';
import { NonRetryableError } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { type Order, ShopFloor } from '../support/shop-floor.js';

let fixture: Fixture;
let floor: ShopFloor;
let cure: boolean;
beforeEach(async () => {
  cure = false;
  fixture = await Fixture.create({ orders: { partitions: 2 } });
  floor = new ShopFloor(fixture);
  const handler: Handler = async (delivery) => {
    if (!cure) throw new NonRetryableError(`order ${(delivery.payload as Order).n} is wrong`);
    await floor.keep(delivery);
  };
  await floor.publish(upTo(5).map((n) => ({ n, key: `key-${n}` })));
  await floor.consume(handler);
  await waitUntil(async () => (await fixture.deadLetters.count()) === 5, {
    describe: 'all are dead letters',
  });
});
afterEach(async () => {
  process.exitCode = undefined;
  await floor.close();
  await fixture.close();
});

/** What the command prints, line by line. */
async function dlq(...args: string[]): Promise<string[]> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  program.commands.forEach((command) => command.exitOverride());
  await program.parseAsync([...fixture.urlArguments, 'dlq', ...args], { from: 'user' });
  return printed.trimEnd().split('\n');
}

test('lists, groups, shows and exports, and shows a payload only on request', async () => {
  const lines = await dlq('list', '--where', 'n=3');
  expect(lines).toEqual([
    expect.stringMatching(/^ID +STATE +LAST FAILED +MESSAGE +GROUP +KEY +REASON +ATTEMPTS +ERROR$/),
    expect.stringMatching(
      /^ *\d+ +open +\S+ +orders\[\d\]@\d+ +test +key-3 +not-retryable +\d+ +NonRetryableError: order 3 is wrong$/,
    ),
  ]);
  const [letter] = JSON.parse((await dlq('list', '--where', 'n=3', '--json')).join('')) as { id: number }[];
  expect(letter).toMatchObject({ state: 'open', group: 'test', key: 'key-3', attempts: 1 });
  expect(await dlq('list', '--groups')).toEqual([
    expect.stringMatching(/^FINGERPRINT +DEAD LETTERS/),
    expect.stringMatching(/^\S+ +5 +\S+ +test +orders /),
  ]);
  expect(JSON.parse((await dlq('list', '--groups', '--json')).join(''))).toMatchObject([{ count: 5 }]);
  const id = `${letter?.id}`;
  expect((await dlq('show', id)).join('\n')).not.toContain('{"n":3}');
  expect((await dlq('show', id, '--payload')).at(-1)).toBe('{"n":3}');
  const exported = (await dlq('export', '--state', 'open')).map(
    (line) => JSON.parse(line) as { payload: string },
  );
  expect(exported.map(({ payload }) => Buffer.from(payload, 'base64').toString())).toContain('{"n":4}');
});

test('changes nothing without --yes', async () => {
  expect(await dlq('redrive', '--all')).toEqual([
    '5 open dead letters would be redriven; use --yes to redrive them',
  ]);
  expect(await dlq('discard', '--key', 'key-1')).toEqual([
    '1 open dead letters would be discarded; use --yes to discard them',
  ]);
  expect((await dlq('edit', '1', '--payload', '{}'))[0]).toContain('would be sent with changes');
  expect(await fixture.deadLetters.count({ states: ['open'] })).toBe(5);
  await expect(dlq('redrive', '--yes')).rejects.toThrow('give ids, a filter or --all');
  await expect(dlq('discard', '--all', '--yes')).rejects.toThrow('--because');
  await expect(dlq('list', '--where', 'n')).rejects.toThrow('path=value');
  await expect(dlq('list', '--state', 'shut')).rejects.toThrow('states must be an array of open');
  for (const command of ['list', 'export', 'redrive', 'discard']) {
    const group = dlq(command, '--group', 'tset');
    await expect(group).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('group tset (did you mean test?)'),
    });
    await expect(dlq(command, '--topic', 'order')).rejects.toThrow('topic order (did you mean orders?)');
  }
  await expect(dlq('edit', '1', '--payload', '@none.json')).rejects.toThrow(
    'none.json: the file does not exist',
  );
});

test('redrives, edits and discards with --yes', async () => {
  const discarded = await dlq('discard', '--key', 'key-0', '--because', 'a test', '--by', 'ann', '--yes');
  expect(discarded).toEqual(['1 discarded']);
  cure = true;
  const [first] = await fixture.deadLetters.list({ key: 'key-1' });
  const edited = ['edit', `${first?.id}`, '--payload', '{"n":11}', '--header', 'by=ann', '--yes'];
  expect((await dlq(...edited))[0]).toMatch(/^sent as message [0-9a-f-]{36}$/);
  const redriven = await dlq('redrive', '--group', 'test', '--rate', '1000', '--yes');
  expect(redriven.at(-1)).toBe('redrive 1 is done');
  await waitUntil(async () => (await floor.effects()).length === 4, { describe: 'four took effect' });
  expect((await floor.effects()).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 11]);
  expect(await dlq('redrive', '--resume', '1')).toEqual(['redrive 1: 3 of 3', 'redrive 1 is done']);
});
