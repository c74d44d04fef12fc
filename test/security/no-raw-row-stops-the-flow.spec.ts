import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { Bell, isWaybillError, newId } from '@waybill/kernel';
import { decodeBatch, RecordBatchBuilder } from '@waybill/log';
import { appendCall } from '@waybill/log/postgres/internal';
import { Relay } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import type { Command } from 'commander';
import fc from 'fast-check';
import type pg from 'pg';
import { Fixture, numbersOf, upTo } from '../support/fixture.js';
import { ShopFloor } from '../support/shop-floor.js';
import { message, timersOf } from '../support/timers.js';

const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_128);
const RUN = { seed, interruptAfterTimeLimit: 12_000, markInterruptAsFailure: false } as const;
// fast-check also reports the seed and the path of a failure.
process.stdout.write(`fuzz seed ${seed} (FUZZ_SEED)\n`);

const odd = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '.',
    '..',
    '__proto__',
    'a b',
    'x'.repeat(250),
    'orders',
    'orders',
    'none',
    '\u{1f4a9}',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.replaceAll('\0', '')),
);
/** UTF-8 has no unpaired surrogates. */
const wellFormed = (text: string): string => Buffer.from(text).toString();
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const quoted = odd.map((text) => literal(wellFormed(text)));
const maybe = (value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant('default') },
    { weight: 1, arbitrary: fc.constant('null') },
    value,
  );
const integer = fc.constantFrom('-1', '0', '1', '3', '4095', '4096', '9999', '2147483647', '-2147483648');
const moment = fc.constantFrom(
  'now()',
  `'infinity'`,
  `'-infinity'`,
  `'290000-01-01'`,
  `'1900-01-01'`,
  `now() + '1 day'`,
);
const json = fc
  .oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.dictionary(odd, fc.oneof(odd, fc.jsonValue({ maxDepth: 1 })), { maxKeys: 4 }),
    fc.constant(Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`h${index}`, '']))),
  )
  .map((value) => literal(wellFormed(JSON.stringify(value).replaceAll('\\u0000', ''))));

/** Any value of any column, as SQL. */
const outboxRow = fc.record({
  slot: maybe(fc.constantFrom('0', '7', '8', '-1')),
  id: maybe(fc.constantFrom('-1', '0', '1', '9007199254740993', '9223372036854775807')),
  xid: maybe(fc.constantFrom(`'0'`, `'3'`, `'18446744073709551615'`)),
  message_id: fc.oneof({ weight: 4, arbitrary: fc.constant('gen_random_uuid()') }, fc.constant('null')),
  topic: fc.oneof(fc.constant(`'orders'`), fc.constant(`'none'`), quoted),
  partition_number: maybe(integer),
  key: maybe(fc.oneof(quoted, fc.constant(`repeat('k', 5000)`))),
  headers: maybe(json),
  payload: maybe(
    fc.oneof(
      fc.constant(`'{"n": -1}'`),
      fc.constant(`'\\x00ff'`),
      fc.constant(`convert_to(repeat('x', 3000000), 'UTF8')`),
    ),
  ),
  created_at: maybe(moment),
  timer_action: maybe(fc.constantFrom('0', '1', '2', '3', '4')),
  deliver_at: maybe(moment),
  timer_token: maybe(fc.oneof(quoted, fc.constant(`repeat('t', 9000)`))),
  published_by: maybe(quoted),
  control: maybe(json),
  expires_at_ms: maybe(fc.constantFrom('-1', '0', '253402300799999', '9223372036854775807')),
  signature: maybe(quoted),
});

/** A row that is accepted and cannot be moved, in addition to the random ones. */
const UNKNOWN = {
  slot: 'default',
  id: 'default',
  xid: 'default',
  message_id: 'gen_random_uuid()',
  topic: `'none'`,
  partition_number: 'default',
  key: 'default',
  headers: 'default',
  payload: 'default',
  created_at: 'default',
  timer_action: 'default',
  deliver_at: 'default',
  timer_token: 'default',
  published_by: 'default',
  control: 'default',
  expires_at_ms: 'default',
  signature: 'default',
};

const timerRow = fc.record({
  slot: fc.constantFrom('0', '8'),
  due_at: fc.oneof({ weight: 3, arbitrary: fc.constant('now()') }, moment),
  kind: fc.constantFrom('1', '2', '3'),
  message_id: fc.constantFrom('gen_random_uuid()', 'null'),
  token: maybe(fc.oneof(quoted, fc.constant(`repeat('t', 9000)`))),
  topic: maybe(fc.oneof(fc.constant(`'orders'`), quoted)),
  partition_number: maybe(integer),
  key: maybe(quoted),
  headers: maybe(json),
  payload: maybe(fc.constant(`'{"n": -1}'`)),
});

/** Inserts a row if the database accepts it. Columns left to their defaults are not named, as by a publisher. */
async function tryInsert(client: pg.Pool, table: string, row: Record<string, string>): Promise<boolean> {
  const given = Object.entries(row).filter(([, value]) => value !== 'default');
  const names = given.map(([name]) => name).join();
  const values = given.map(([, value]) => value).join();
  try {
    await client.query(`insert into waybill.${table} (${names}) values (${values})`);
    return true;
  } catch (error) {
    // Refused by the server, with a reason: that is fine, too.
    expect((error as { code?: string }).code).toMatch(/^(WB006|22\d\w\w|23\d\d\d|55000)$/);
    return false;
  }
}

describe('any row that a login may write', () => {
  let fixture: Fixture;
  let published = 0;
  beforeAll(async () => {
    fixture = await Fixture.create({ orders: { partitions: 3 } });
  });
  afterAll(() => fixture.close());

  test('in the outbox does not stop the relay, and good messages arrive in order', async () => {
    const { database, engine: log } = fixture;
    const relay = new Relay({ database, log, bell: new Bell() }, { smallDifferenceRows: 8, windowRows: 8 });
    let admitted = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(outboxRow, { minLength: 1, maxLength: 20 }), async (rows) => {
        const before = published;
        for (const row of rows) {
          if (await tryInsert(database.pool, 'outbox', row)) admitted += 1;
          await fixture.publish(published++, 'good');
        }
        while ((await relay.runOnce()) === 'again');
        expect(await fixture.value(`select count(*)::int from waybill.outbox_backlogs(1000)`)).toBe(0);
        const good = await goodNumbers(fixture);
        expect(good.slice(before)).toEqual(upTo(published).slice(before));
      }),
      { ...RUN, numRuns: 40, examples: [[[UNKNOWN]]] },
    );
    const aside = await fixture.value<number>('select count(*)::int from waybill.outbox_quarantine');
    expect(admitted).toBeGreaterThan(0);
    expect(aside).toBeGreaterThan(0);
  });

  test('as a timer does not stop the others', async () => {
    const { timers, service } = timersOf(fixture);
    let expected = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(timerRow, { minLength: 1, maxLength: 10 }), async (rows) => {
        for (const row of rows) {
          await tryInsert(fixture.database.pool, 'timer', row);
          await timers.schedule(message(1_000_000 + expected++, { key: 'timed' }), { delayMs: 0 });
        }
        await waitUntil(
          async () => {
            while ((await service.runOnce()) === 'again');
            const left = await fixture.value(`select count(*)::int from waybill.timer where key = 'timed'`);
            return left === 0;
          },
          { describe: 'the good timers have fired' },
        );
      }),
      { ...RUN, numRuns: 25 },
    );
    const fired = (await goodNumbers(fixture, 'timed')).map((n) => n - 1_000_000);
    expect(fired.toSorted((a, b) => a - b)).toEqual(upTo(expected));
  });
});

/** Numbers of the messages of a key, in the order of the log; others may not be JSON. */
async function goodNumbers(fixture: Fixture, key = 'good'): Promise<number[]> {
  const { rows } = await fixture.database.pool.query<{ data: Buffer }>(
    'select data from waybill_bus.log_batch order by partition_id, base_offset',
  );
  return rows.flatMap(({ data }) =>
    [...decodeBatch(data)]
      .filter((record) => record.key?.toString() === key)
      .map(({ value }) => (JSON.parse(String(value)) as { n: number }).n),
  );
}

describe('any record in the log', () => {
  test('of any bytes stops no consumer', async () => {
    const fixture = await Fixture.create({ orders: { partitions: 1 } });
    const floor = new ShopFloor(fixture);
    const seen: number[] = [];
    try {
      await floor.consume(async ({ payload }) => void seen.push((payload as { n: number }).n), {
        retry: { maxAttempts: 1 },
      });
      const { partitionIds } = await fixture.topics.get('orders');
      let n = 0;
      const bytes = fc.option(fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)));
      const header = fc.record({
        key: fc.oneof(
          odd,
          fc.constantFrom('waybill-id', 'waybill-expires-at', 'waybill-reply-to', 'traceparent'),
        ),
        value: bytes,
      });
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ key: bytes, value: bytes, headers: fc.array(header, { maxLength: 5 }) }), {
            minLength: 1,
            maxLength: 15,
          }),
          async (records) => {
            const builder = new RecordBatchBuilder();
            for (const { key, value, headers } of records) {
              builder.append(Date.now(), key, value, headers);
              builder.append(Date.now(), Buffer.from('good'), Buffer.from(JSON.stringify({ n: n++ })), [
                { key: 'waybill-id', value: Buffer.from(newId()) },
              ]);
            }
            const batch = {
              partitionId: partitionIds[0] as number,
              recordCount: builder.count,
              maxTimestampMs: builder.maxTimestamp,
              baseSequence: -1,
              data: builder.build(),
            };
            await fixture.database.runTogether([appendCall([batch], -1, 'all')]);
          },
        ),
        { ...RUN, numRuns: 20 },
      );
      await waitUntil(() => new Set(seen.filter((one) => Number.isInteger(one))).size >= n, {
        describe: () => `${seen.length} of ${n} good records were handled`,
        timeoutMs: 30_000,
      });
      expect(
        [...new Set(seen.filter((one) => Number.isInteger(one) && one >= 0))].toSorted((a, b) => a - b),
      ).toEqual(upTo(n));
    } finally {
      await floor.close();
      await fixture.close();
    }
  });
});

function silenced(command: Command): Command {
  command.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
  command.commands.forEach(silenced);
  return command;
}

describe('any arguments of waybill', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create();
  });
  afterAll(() => fixture.close());

  test('end with output or a typed error', async () => {
    const words = fc.constantFrom(
      'dlq',
      'list',
      'show',
      'redrive',
      'discard',
      'topic',
      'describe',
      'outbox',
      'quarantine',
      'backlog',
      'group',
      'half',
      'saga',
      'lag',
      '--all',
      '--limit',
      '--after',
      '--topic',
      '--group',
      '--json',
      '-1',
      '1e99',
      '9223372036854775808',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(words, words, odd), { maxLength: 6 }), async (args) => {
        fc.pre(!args.includes('init') && !args.includes('async-api'));
        const program = silenced(createProgram({ write: () => {} }));
        try {
          await program.parseAsync(['node', 'waybill', '--database-url', fixture.url, ...args]);
        } catch (error) {
          // By its code: the command may have its own copy of commander.
          const { code } = error as { code?: unknown };
          expect(isWaybillError(error) || String(code).startsWith('commander.')).toBe(true);
        } finally {
          process.exitCode = undefined;
        }
      }),
      { ...RUN, numRuns: 60 },
    );
    expect(numbersOf(await fixture.log())).toEqual([]);
  });
});
