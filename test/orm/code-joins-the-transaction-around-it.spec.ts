import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { transform } from '@swc/core';
import { Waybill } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { Fixture, numbersOf } from '../support/fixture.js';
import type { Request, Settings } from './transactional/main.js';

/**
 * `@nestjs-cls/transactional` is CommonJS that requires Nest's ES modules: Node does that, Jest does not. So the
 * application runs in its own process, compiled to this folder.
 */
let compiled: string;
let fixture: Fixture;
let program: ChildProcess | undefined;

beforeAll(async () => {
  const sources = fileURLToPath(new URL('./transactional/', import.meta.url));
  const folder = fileURLToPath(new URL('../../.waybill/', import.meta.url));
  await mkdir(folder, { recursive: true });
  compiled = await mkdtemp(join(folder, 'transactional-'));
  await writeFile(join(compiled, 'package.json'), '{ "type": "module" }');
  for (const name of ['adapted', 'shop', 'main']) {
    const { code } = await transform(await readFile(join(sources, `${name}.ts`), 'utf8'), {
      jsc: {
        target: 'es2023',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
      module: { type: 'es6' },
    });
    await writeFile(join(compiled, `${name}.js`), code);
  }
});
afterAll(() => rm(compiled, { recursive: true }));
async function answer(): Promise<unknown> {
  const [{ result, error }] = (await once(program as ChildProcess, 'message')) as [
    { result?: unknown; error?: string },
  ];
  if (error !== undefined) throw new Error(error);
  return result;
}

async function start(settings: Omit<Settings, 'url'>): Promise<void> {
  fixture = await Fixture.create({ orders: {}, done: { partitions: 1 } });
  program = fork(join(compiled, 'main.js'), [JSON.stringify({ ...settings, url: fixture.url })]);
  expect(await answer()).toBe('ready');
}

async function stop(): Promise<void> {
  program?.kill('SIGKILL');
  program = undefined;
  await fixture.close();
}

function ask(scenario: Request['scenario'], from: number): Promise<unknown> {
  program?.send({ scenario, from } satisfies Request);
  return answer();
}

/** The numbers of one scenario. */
const those = (numbers: readonly number[], from: number): number[] =>
  numbers.filter((n) => n > from && n < from + 100).map((n) => n - from);

const effects = async (from: number): Promise<number[]> => {
  const { rows } = await fixture.database.pool.query<{ n: number }>('select n from effect order by n');
  return those(
    rows.map(({ n }) => n),
    from,
  );
};
const published = async (from: number): Promise<number[]> => {
  await fixture.moveAll();
  return those(numbersOf(await fixture.log('done')), from);
};

const WAYS = (['typeorm', 'drizzle'] as const).flatMap((orm) =>
  (['joined', 'apart'] as const).map((how) => ({ orm, how })),
);

describe.each(WAYS)('@Transactional() code with $orm ($how)', ({ orm, how }) => {
  beforeAll(() => start({ orm, how }));
  afterAll(stop);

  test('publishes without a handle: with its commit, or not at all', async () => {
    await ask('publishes', 100);
    expect(await effects(100)).toEqual([1, 3, 5, 6, 8]);
    // The last one by client.emit.
    expect(await published(100)).toEqual([1, 3, 5, 6, 8, 10, 11, 13]);
  });

  test('is refused without a handle where no transaction is open, or it has ended', async () => {
    expect(await ask('refuses', 200)).toEqual(Array.from({ length: 5 }, () => 'TRANSACTION_REQUIRED'));
    expect(await published(200)).toEqual([2]);
  });

  test('and waybill.transaction: a message joins the innermost of them', async () => {
    await ask('nests', 300);
    const expected = how === 'joined' ? [5] : [2, 5];
    expect(await effects(300)).toEqual(expected);
    expect(await published(300)).toEqual(expected);
  });

  test(
    how === 'joined'
      ? 'joins the delivery that it is called in, and fails with it'
      : 'has its own transaction in a delivery that it is not configured to join',
    async () => {
      const asked = ask('handles', 400);
      await fixture.publish(1);
      await fixture.moveAll();
      const [first, ofFirst, second, ofSecond] = (await asked) as string[];
      await waitUntil(async () => (await published(400)).includes(12), {
        describe: 'the second attempt commits',
      });
      expect(first).not.toBe(second);
      expect([first === ofFirst, second === ofSecond]).toEqual([how === 'joined', how === 'joined']);
      // In the `apart` set-up the writes of the failed attempt have stayed; the messages published in it have not.
      expect(await effects(400)).toEqual(how === 'joined' ? [2, 21, 22] : [1, 2, 21, 22]);
      expect(await published(400)).toEqual(how === 'joined' ? [2, 12, 21, 22] : [1, 2, 12, 21, 22]);
    },
  );
});

test.each(['typeorm', 'drizzle'] as const)(
  'an adapter of %s that deliveries cannot join is refused at boot',
  async (orm) => {
    await expect(start({ orm, how: 'wrong' })).rejects.toThrow(/ConfigurationError.*joinDeliveries/);
    await stop();
  },
);

test('the options that say where transactions are kept are checked', () => {
  const given = (options: object) => () =>
    new Waybill('default', { database: { connectionString: 'postgresql://localhost/x' }, ...options });
  expect(given({ ambient: {} })).toThrow(/ambient must be a function/);
  expect(given({ transactionHost: {} })).toThrow(/transactionHost must be the TransactionHost/);
  const host = { withTransaction: () => undefined, isTransactionActive: () => false, tx: undefined };
  expect(given({ transactionHost: host, ambient: () => undefined })).toThrow(/set only one of them/);
});
