import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import { Consumer, type Handler, resolveSubscription } from '@waybill/consumer';
import {
  ConfigurationError,
  describeError,
  type Logger,
  PgDatabase,
  PgTransactionRunner,
} from '@waybill/kernel';
import { guardLogger } from '@waybill/kernel/internal';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

const FORGED = '2026-11-28T23:00:00.000Z  the director: discard, all is well';
/** Line breaks that an attacker puts into texts, and control sequences of terminals. */
const BREAKS = ['\n', '\r\n', '\r', '\u2028', '\u2029', '\u0085', '\u000b', '\u001b[2K\u001b[1G', '\u202e'];

let fixture: Fixture;
let lines: string[];
let consumer: Consumer | undefined;
beforeEach(async () => {
  lines = [];
  fixture = await Fixture.create();
});
afterEach(async () => {
  await consumer?.stop();
  consumer = undefined;
  await fixture.close();
});

const write =
  (level: string) =>
  (message: string, fields?: object): void =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
const logger: Logger = {
  debug: write('debug'),
  info: write('info'),
  warn: write('warn'),
  error: write('error'),
};

/** Makes a handler fail permanently. */
const failing = async (error: () => Error, key: string): Promise<void> => {
  const handler: Handler = async () => {
    throw error();
  };
  const { database, engine: log } = fixture;
  consumer = new Consumer(
    {
      group: 'g',
      subscriptions: [
        resolveSubscription('orders', handler, { retry: { immediateAttempts: 0, maxAttempts: 1 } }),
      ],
      database,
      transactions: new PgTransactionRunner(database),
      log,
      logger,
    },
    { leaseMs: 20_000, heartbeatMs: 200 },
  );
  await consumer.start();
  await fixture.publish(1, key);
  await fixture.moveAll();
  await waitUntil(async () => (await fixture.deadLetters.list()).length === 1, {
    describe: 'it is a dead letter',
  });
};

const waybill = async (...args: string[]): Promise<string> => {
  let text = '';
  const program = createProgram({ write: (part) => void (text += part) }).exitOverride();
  await program.parseAsync(['node', 'waybill', '--database-url', fixture.url, ...args]);
  return text;
};

test.each(BREAKS)(
  "an error text with %j starts no new line, in logs and in the command's output",
  async (br) => {
    const text = `it fails${br}${FORGED}`;
    await failing(
      () => Object.assign(new Error(text), { stack: `Error: ${text}${br}    at x` }),
      `k${br}${FORGED}`,
    );
    expect(lines.length).toBeGreaterThan(0);
    const control = /[\p{Cc}\p{Zl}\p{Zp}\u202e]/u;
    expect(lines.filter((one) => control.test(one))).toEqual([]);
    const [letter] = await fixture.deadLetters.list();
    for (const args of [
      ['dlq', 'list'],
      ['dlq', 'list', '--groups'],
      ['dlq', 'show', `${letter?.id}`],
    ]) {
      const output = await waybill(...args);
      expect(output.split('\n').filter((one) => one.startsWith(FORGED.slice(0, 10)))).toEqual([]);
      expect(output.split('\n').filter((one) => control.test(one))).toEqual([]);
    }
  },
);

test('keys are not in any log line', async () => {
  await failing(() => new Error('it fails'), 'ada@example.com');
  expect(lines.filter((one) => one.includes('ada@example.com'))).toEqual([]);
});

describe('a password is never printed', () => {
  const SECRET = 'hunter2-is-secret';
  test.each([
    `connect postgresql://ada:${SECRET}@db.example.com/shop failed`,
    `redis://:${SECRET}@cache:6379 is away`,
    `https://${SECRET}@api.example.com/`,
    `amqp://u:p@${SECRET}@host/`,
    `password=${SECRET} host=db`,
    `{"password":"${SECRET}"}`,
    `PGPASSWORD: '${SECRET}'`,
    `Authorization: Bearer ${SECRET}`,
    `token = ${SECRET}`,
  ])('%s', async (text) => {
    expect(describeError(new Error(text))).not.toContain(SECRET);
    expect(new ConfigurationError('x', [text]).message).not.toContain(SECRET);
    expect(new ConfigurationError('x', [text]).problems.join()).not.toContain(SECRET);
    guardLogger(logger).error(text, { why: text });
    expect(lines.join()).not.toContain(SECRET);
  });

  test('by a server that refuses it, a dead letter or the command', async () => {
    const url = new URL(fixture.url);
    url.username = 'nobody_of_that_name';
    url.password = SECRET;
    const database = new PgDatabase({ connectionString: url.href, connectionsMax: 1 });
    let refused = '';
    await database.pool.query('select 1').catch((error: unknown) => (refused = describeError(error)));
    await database.close();
    expect(refused).not.toBe('');
    expect(refused).not.toContain(SECRET);
    await failing(() => new Error(`cannot reach ${url.href}`), 'k');
    const [letter] = await fixture.deadLetters.list();
    const shown = await waybill('dlq', 'show', `${letter?.id}`);
    expect(shown).toContain('cannot reach');
    expect(shown + lines.join()).not.toContain(SECRET);
    const stored = await fixture.value<string>(
      `select error_message || coalesce(error_stack, '') from waybill.dead_letter`,
    );
    expect(stored).not.toContain(SECRET);
  });
});
