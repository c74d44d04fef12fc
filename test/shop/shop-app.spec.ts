import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { DeadLetters, SagaOperations } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { SERVICES, type ServiceName } from '../../src/contracts/services.js';
import { prepareDatabases } from '../../src/database/prepare-database.js';
import { readGatewayBooks } from '../../src/demo/gateway/gateway-journal.js';
import { GatewayServer } from '../../src/demo/gateway/gateway-server.js';
import { ShopBooks } from '../../src/demo/report/shop-books.js';
import { startShop } from '../../src/shop-app.js';
import { ShopTestDatabases } from './shop-databases.js';
import { NOTHING_WRONG, TAMPERINGS } from './tamperings.js';

interface Answer {
  readonly status: number;
  readonly body: {
    status: string;
    totalPence: number;
    rejection: string | null;
    code: string;
    problems: string[];
  };
}

const LIMIT_PENCE = 10_000;
const STOCK = 100;

let databases: ShopTestDatabases;
let app: INestApplication;
let url: string;
let books: ShopBooks;
let pools: Readonly<Record<ServiceName, pg.Pool>>;
let folder: string;
let journal: string;
let gateway: GatewayServer;
/** Operators have other logins than services. */
const operators = new Map<ServiceName | 'bus', PgDatabase>();

beforeAll(async () => {
  databases = await ShopTestDatabases.create('shop_app');
  const { urls } = databases;
  const { connectionStrings, busConnectionStrings, operatorConnectionStrings } = await prepareDatabases(urls);
  folder = await mkdtemp(join(tmpdir(), 'shop-app-'));
  journal = join(folder, 'journal.jsonl');
  gateway = new GatewayServer({ broken: new Set(['15']), transfer: new Set(['14']) }, journal);
  ({ app, url } = await startShop({
    services: SERVICES,
    port: 0,
    connectionStrings,
    busConnectionStrings,
    startingStock: STOCK,
    chargeLimitPence: LIMIT_PENCE,
    declinedCustomers: new Set(['13']),
    undeliverableCustomers: new Set(['17']),
    gatewayUrl: await gateway.start(),
    paymentDueMs: 3_000,
    redisUrl: undefined,
  }));
  books = new ShopBooks(urls);
  const poolOf = (name: ServiceName): pg.Pool => new pg.Pool({ connectionString: urls[name], max: 2 });
  pools = { orders: poolOf('orders'), inventory: poolOf('inventory'), payments: poolOf('payments') };
  const logins = { ...operatorConnectionStrings, bus: busConnectionStrings.operator };
  for (const name of [...SERVICES, 'bus'] as const)
    operators.set(name, new PgDatabase({ connectionString: logins[name], connectionsMax: 3 }));
});

afterAll(async () => {
  await app.close();
  await gateway.stop();
  await books.close();
  for (const operator of operators.values()) await operator.close();
  for (const pool of Object.values(pools)) await pool.end();
  await rm(folder, { recursive: true });
  await databases.drop();
});

function operatorOf(name: ServiceName | 'bus'): PgDatabase {
  const operator = operators.get(name);
  if (operator === undefined) throw new Error(`there is no operator of ${name}`);
  return operator;
}

async function post(path: string, body?: unknown): Promise<Answer> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body ?? {}),
  };
  const response = await fetch(`${url}${path}`, init);
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

async function get(invoiceNo: string): Promise<Answer> {
  const response = await fetch(`${url}/orders/${invoiceNo}`);
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

async function becomes(invoiceNo: string, status: string): Promise<Answer['body']> {
  let seen: Answer['body'] | undefined;
  await waitUntil(async () => (seen = (await get(invoiceNo)).body).status === status, {
    describe: () => `order ${invoiceNo} is ${status}; it is ${seen?.status}`,
    timeoutMs: 30_000,
  });
  return seen as Answer['body'];
}

/** The ledger's entries for an invoice, in order. */
async function entries(invoiceNo: string): Promise<string[]> {
  const { rows } = await pools.payments.query<{ entry: string }>(
    `select concat_ws(' ', kind, method, amount_pence) as entry
       from payments.ledger_entry where invoice_no = $1 order by id`,
    [invoiceNo],
  );
  return rows.map(({ entry }) => entry);
}

async function level(sku: string): Promise<number | undefined> {
  const { rows } = await pools.inventory.query<{ level: number }>(
    'select level from inventory.stock where sku = $1',
    [sku],
  );
  return rows[0]?.level;
}

function order(invoiceNo: string, sku: string, quantity: number, extra: object = {}): unknown {
  const lines = [
    { sku, quantity, unitPricePence: 100 },
    { sku: 'POST', quantity: 1, unitPricePence: 350 },
  ];
  return { invoiceNo, customerId: '7', ...extra, lines };
}

describe('an order', () => {
  test('is placed, reserved, charged, shipped and confirmed by a saga, and its parcel leaves', async () => {
    const { status, body } = await post('/orders', order('100', 'A1', 4));
    expect([status, body.status, body.totalPence]).toEqual([201, 'PLACED', 750]);
    await becomes('100', 'CONFIRMED');
    expect(await level('A1')).toBe(STOCK - 4);
    expect(await entries('100')).toEqual(['CHARGE CARD 750']);
    const operations = new SagaOperations({ database: operatorOf('orders') });
    const [saga] = await operations.list({ states: ['COMPLETED'], keyPrefix: '100' });
    expect(saga).toMatchObject({ type: 'orders.place', state: 'COMPLETED' });
    await waitUntil(
      async () => {
        const { rows } = await pools.inventory.query(
          'select 1 from inventory.shipment where dispatched_at is not null',
        );
        return rows.length === 1;
      },
      { describe: 'the parcel has left' },
    );
  });

  test('that is sent again is the same order; another body for its number is refused', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => post('/orders', order('110', 'B1', 1))));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    const other = await post('/orders', order('110', 'B1', 2));
    expect([other.status, other.body.code]).toEqual([409, 'INVOICE_EXISTS']);
    await becomes('110', 'CONFIRMED');
    expect((await post('/orders', order('110', 'B1', 1))).body.status).toBe('CONFIRMED');
    expect(await level('B1')).toBe(STOCK - 1);
  });

  test('that is cancelled gives goods and money back, once', async () => {
    await post('/orders', order('120', 'C1', 10));
    await becomes('120', 'CONFIRMED');
    const [first, second] = await Promise.all([post('/orders/120/cancel'), post('/orders/120/cancel')]);
    expect([first.status, second.status]).toEqual([200, 200]);
    await becomes('120', 'REFUNDED');
    await waitUntil(async () => (await level('C1')) === STOCK, { describe: 'the goods are back' });
    expect((await post('/orders/120/cancel')).body.status).toBe('REFUNDED');
    expect(await entries('120')).toEqual(['CHARGE CARD 1350', 'REFUND CARD 1350']);
  });

  test('for more than the stock is rejected and nothing is reserved', async () => {
    await post('/orders', order('130', 'B1', STOCK));
    expect((await becomes('130', 'REJECTED')).rejection).toBe('step reserve was rejected: not in stock: B1');
    expect(await level('B1')).toBe(STOCK - 1);
    expect((await post('/orders/130/cancel')).body.code).toBe('NOT_CONFIRMED');
  });

  test('that is not paid is rejected and its goods are released', async () => {
    await post('/orders', order('140', 'E1', 99));
    await post('/orders', order('141', 'E2', 2, { customerId: '13' }));
    expect((await becomes('140', 'REJECTED')).rejection).toContain('over the limit');
    expect((await becomes('141', 'REJECTED')).rejection).toBe(
      'step open was rejected: customer 13 is declined',
    );
    await waitUntil(async () => (await level('E1')) === STOCK && (await level('E2')) === STOCK, {
      describe: 'the goods are released',
    });
  });

  test('that cannot be delivered is rejected, and its charge is refunded', async () => {
    await post('/orders', order('143', 'E5', 2, { customerId: '17' }));
    const { rejection } = await becomes('143', 'REJECTED');
    expect(rejection).toBe('step ship was rejected: no carrier delivers to customer 17');
    expect(await entries('143')).toEqual(['CHARGE CARD 550', 'REFUND CARD 550']);
    expect(await level('E5')).toBe(STOCK);
  });

  test('whose bank transfer does not come in time is rejected, and its goods are released', async () => {
    await post('/orders', order('142', 'E3', 3, { customerId: '14' }));
    expect((await becomes('142', 'REJECTED')).rejection).toBe('step transfer received nothing in time');
    expect(await level('E3')).toBe(STOCK);
    expect(await entries('142')).toEqual([]);
    const late = await post('/orders/142/transfer', { reference: 'TR 1' });
    expect([late.status, late.body.code]).toEqual([409, 'NOT_OPEN']);
  });

  test('whose bank transfer comes is confirmed, even when the notification comes first', async () => {
    await post('/orders', order('147', 'E3', 3, { customerId: '14' }));
    expect((await post('/orders/147/transfer', {})).status).toBe(400);
    expect((await post('/orders/147/transfer', { reference: 'TR 2' })).status).toBe(200);
    await becomes('147', 'CONFIRMED');
    await post('/orders/147/cancel');
    await becomes('147', 'REFUNDED');
    expect(await entries('147')).toEqual(['CHARGE TRANSFER 650', 'REFUND TRANSFER 650']);
  });

  test('that the gateway does not charge waits for an operator, and no order waits after it', async () => {
    await post('/orders', order('144', 'E4', 1, { customerId: '15' }));
    await post('/orders', order('146', 'E4', 1, { customerId: '7' }));
    await becomes('146', 'CONFIRMED');
    await waitUntil(async () => (await books.progress()).deadLetters === 1, {
      describe: 'there is a dead letter',
      timeoutMs: 30_000,
    });
    expect((await get('144')).body.status).toBe('PLACED');
    gateway.repair();
    const deadLetters = new DeadLetters(
      operatorOf('payments'),
      new PostgresLogEngine(operatorOf('bus'), { service: operatorOf('payments') }),
    );
    const [letter] = await deadLetters.list({ topic: 'payments.charge' });
    expect(letter).toMatchObject({ handler: 'charge', errorClass: 'EffectUnknownError', attempts: 6 });
    await deadLetters.redrive(letter?.id ?? 0, { by: 'test' });
    await becomes('144', 'CONFIRMED');
    expect(await entries('144')).toEqual(['CHARGE CARD 450']);
  });

  test('that an operator cancels while its charge is unknown gets the money back', async () => {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    const held = new Promise<void>((resolve) => gateway.holdNext(resolve, released));
    await post('/orders', order('148', 'E6', 2));
    await held;
    const operations = new SagaOperations({ database: operatorOf('orders') });
    const [saga] = await operations.list({ keyPrefix: '148' });
    await operations.cancel(saga?.id ?? '', { by: 'ada', reason: 'the customer rang' });
    release();
    expect((await becomes('148', 'REJECTED')).rejection).toBe('cancelled by ada: the customer rang');
    expect(await entries('148')).toEqual(['CHARGE CARD 550', 'REFUND CARD 550']);
    expect(await level('E6')).toBe(STOCK);
  });

  test('that does not exist is 404, one that is invalid is 400', async () => {
    expect((await get('999')).status).toBe(404);
    expect((await post('/orders/999/cancel')).status).toBe(404);
    const wrong = await post('/orders', { invoiceNo: 'C1', lines: [] });
    expect([wrong.status, wrong.body.problems.length]).toEqual([400, 2]);
  });
});

describe('a return', () => {
  test('puts goods back and is refunded, once', async () => {
    const { status } = await post('/returns', order('C150', 'F1', 5));
    expect(status).toBe(201);
    expect((await post('/returns', order('C150', 'F1', 5))).status).toBe(200);
    expect((await post('/orders', order('C150', 'F1', 5))).status).toBe(400);
    expect((await becomes('C150', 'REFUNDED')).totalPence).toBe(850);
    await waitUntil(async () => (await level('F1')) === STOCK + 5, { describe: 'the goods are back' });
  });
});

describe('the shop as a whole', () => {
  test('is healthy', async () => {
    const response = await fetch(`${url}/health`);
    expect([response.status, await response.json()]).toMatchObject([200, { status: 'up' }]);
  });

  test('is consistent after all that', async () => {
    await waitUntil(async () => (await books.progress()).lag === 0, { describe: 'every effect is made' });
    const found = await books.reconcile(
      [{ invoiceNo: '100', lines: [], totalPence: 750 }],
      readGatewayBooks(journal).movements,
    );
    expect(found).toMatchObject({
      ...NOTHING_WRONG,
      chargedPence: 750 + 450 + 1350 + 2 * 450 + 650,
      refundedPence: 1350 + 850 + 650,
      undonePence: 550 + 550,
      unpaid: 1,
    });
    expect(found.eventRecords).toBe(found.published);
    expect(found.published).toBe(6);
    expect(found.messages).toBeGreaterThan(100);
  });
});

describe('the reconciliation', () => {
  test.each([...TAMPERINGS])('counts %s when %s', async (count, _what, where, tampering) => {
    const { movements } = readGatewayBooks(journal);
    const before = await books.reconcile([], movements);
    await pools[where].query(tampering);
    const after = await books.reconcile([], movements);
    expect(after[count]).toBeGreaterThan(before[count]);
  });

  test('counts missingInvoices when the file has other invoices, or other totals', async () => {
    const invoices = ['100', '999'].map((invoiceNo) => ({ invoiceNo, lines: [], totalPence: 1 }));
    expect((await books.reconcile(invoices)).missingInvoices).toBe(2);
  });
});
