import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type ScriptProcess, spawnScript, testServerUrl, waitUntil } from '@waybill/testing';
import pg from 'pg';
import type { DemoResult } from '../../src/demo/report/demo-report.js';

const DEMO = fileURLToPath(new URL('../../dist/demo/main.js', import.meta.url));

let folder: string;
let running: ScriptProcess | undefined;

beforeAll(async () => {
  if (!existsSync(DEMO)) throw new Error('The shop is not compiled. Run the tests by "npm test".');
  folder = await mkdtemp(join(tmpdir(), 'shop-demo-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

// A demo that a test has left, because its time was over, would be taken for the next test's: they share a server.
afterEach(async () => {
  running?.kill('SIGTERM');
  await running?.exited;
});

interface DemoExit {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly output: string;
}

function startDemo(...args: string[]): ScriptProcess {
  running = spawnScript(DEMO, { args, env: { DATABASE_URL: testServerUrl() } });
  return running;
}

async function demo(...args: string[]): Promise<DemoExit> {
  const script = startDemo(...args);
  const { code } = await script.exited;
  return { code, lines: script.lines, output: script.output };
}

/** Databases and roles of demos on the server. */
async function remains(): Promise<string[]> {
  const client = new pg.Client({ connectionString: testServerUrl() });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `select datname as name from pg_database where datname like 'shop\\_demo\\_%'
       union all select rolname from pg_roles where rolname like 'shop\\_demo\\_%'`,
    );
    return rows.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

describe('the demo', () => {
  test('with one service killed half way loses nothing and does nothing twice', async () => {
    const { code, lines, output } = await demo('--json');
    expect({ code, output: code === 0 ? '' : output }).toEqual({ code: 0, output: '' });
    const result = JSON.parse(lines.at(-1) ?? '') as DemoResult;
    expect(result).toMatchObject({
      invoices: 120,
      placed: 107,
      confirmed: 101,
      // One over the limit, one not in stock, two whose bank transfer does not come, two that cannot be delivered.
      rejected: 6,
      refunded: 10,
      linesRefused: 17,
      lost: 0,
      duplicateEffects: 0,
      outOfOrder: 0,
      kills: 1,
    });
    expect(Object.keys(result).join()).toBe(
      'invoices,placed,confirmed,rejected,refunded,linesRefused,chargedPence,refundedPence,' +
        'messages,lost,duplicateEffects,outOfOrder,kills,p50Ms,p99Ms,seconds',
    );
    expect(lines).toContain('Everything agrees.');
    const table = lines.join('\n');
    expect(table).toMatch(/^ {2}unpaid +2 /m);
    expect(table).toMatch(/^redriven +6 /m);
    expect(table).toMatch(/^ {2}undone +£[1-9]/m);
    expect(table).toMatch(
      /^gateway +[1-9]\d* +failures, queried and retried; [1-9]\d* messages were parked/m,
    );
    expect(table).toMatch(/^kills +1 +payments between a charge and its entry in the ledger; the gateway$/m);
    expect(await remains()).toEqual([]);
  });

  test.each([
    ['while its databases are set up', 1],
    ['while its services start', 14],
  ])('that is interrupted %s leaves nothing on the server', async (_moment, traces) => {
    const script = startDemo('--kill', 'none');
    await waitUntil(async () => (await remains()).length >= traces, {
      describe: 'the demo has its databases and roles',
      timeoutMs: 60_000,
    });
    script.kill('SIGINT');
    expect(await script.exited).toEqual({ code: 130, signal: null });
    expect(await remains()).toEqual([]);
  });

  test.each([
    ['an unknown option', ['--fast'], '--fast is not an option'],
    ['a file that does not exist', ['--orders', 'none.csv'], 'ENOENT'],
  ])('called with %s exits with 2 and no stack', async (_name, args, message) => {
    const { code, output } = await demo(...args);
    expect(code).toBe(2);
    expect(output).toContain(message);
    expect(output).not.toMatch(/^err\| {4}at /m);
  });

  test('with a file with other columns exits with 2 and names them', async () => {
    const path = join(folder, 'wrong.csv');
    await writeFile(path, 'InvoiceNo;StockCode\n1;2\n');
    const { code, output } = await demo('--orders', path);
    expect(code).toBe(2);
    expect(output).toContain('column StockCode is missing');
  });

  test('with a file whose lines are all refused exits with 2 and says why', async () => {
    const header = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';
    const path = join(folder, 'refused.csv');
    await writeFile(path, `${header}\n1,22139,BOWL,1,2/31/2010 8:26,1.25,,UK\n`);
    const { code, output } = await demo('--orders', path);
    expect(code).toBe(2);
    expect(output).toContain('none of its 1 lines can be ordered');
    expect(output).toContain('InvoiceDate "2/31/2010 8:26"');
  });

  test('includes an order file that has the columns of the real one', async () => {
    const text = await readFile(new URL('../../src/demo/orders/orders.csv', import.meta.url), 'utf8');
    expect(text.split('\n')[0]).toBe(
      'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country',
    );
  });
});
