import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { type DeadLetters, getDeadLettersToken } from '@waybill/nestjs';
import { testDatabase, type TestDatabase, testServerUrl, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { SERVICES } from '../../src/contracts/services.js';
import { prepareDatabase } from '../../src/database/prepare-database.js';
import { dropServiceRoles } from '../../src/database/service-roles.js';
import { GatewayServer } from '../../src/demo/gateway-server.js';
import { ShopBooks } from '../../src/demo/shop-books.js';
import { startShop } from '../../src/shop-app.js';

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

/** Every count of the reconciliation that is 0 when all is well. */
const NOTHING_WRONG = {
  missingEffects: 0,
  doubleEffects: 0,
  strayEffects: 0,
  outOfOrder: 0,
  deadLetters: 0,
  missingOutcomes: 0,
  doubleOutcomes: 0,
  doublePayments: 0,
  gatewayDisagrees: 0,
  wrongCharges: 0,
  wrongRefunds: 0,
  wrongLevels: 0,
  doubleMovements: 0,
  missingInvoices: 0,
};

const DEAD_LETTER = `
  insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler,
                                   headers, timestamp_ms, reason, error_class, error_message, fingerprint, attempts,
                                   first_failed_at, last_failed_at)
  select g.id, p.id, 0, 1, 'orders.placed', 0, 'placed', '[]', 0, 'attempts-spent', 'Error', 'no', 'f', 5, now(), now()
    from waybill.consumer_group g, waybill.topic_partition p limit 1`;

const LIMIT_PENCE = 10_000;
const STOCK = 100;

let database: TestDatabase;
let app: INestApplication;
let url: string;
let books: ShopBooks;
let pool: pg.Pool;
let gateway: GatewayServer;

beforeAll(async () => {
  database = await testDatabase('shop_app');
  const { connectionStrings } = await prepareDatabase(database.connectionString);
  gateway = new GatewayServer({ broken: new Set(['15', '16']), transfer: new Set(['14']) });
  ({ app, url } = await startShop({
    services: SERVICES,
    port: 0,
    connectionStrings,
    startingStock: STOCK,
    chargeLimitPence: LIMIT_PENCE,
    declinedCustomers: new Set(['13']),
    gatewayUrl: await gateway.start(),
    paymentDueMs: 200,
    redisUrl: undefined,
  }));
  books = new ShopBooks(database.connectionString);
  pool = new pg.Pool({ connectionString: database.connectionString, max: 2 });
});

afterAll(async () => {
  await app.close();
  await gateway.stop();
  await books.close();
  await pool.end();
  await database.drop();
  const client = new pg.Client({ connectionString: testServerUrl() });
  await client.connect();
  await dropServiceRoles(client, database.name);
  await client.end();
});

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
    describe: () => `order ${invoiceNo} to become ${status}, it is ${seen?.status}`,
    timeoutMs: 30_000,
  });
  return seen as Answer['body'];
}

async function level(sku: string): Promise<number | undefined> {
  const { rows } = await pool.query<{ level: number }>('select level from inventory.stock where sku = $1', [
    sku,
  ]);
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
  test('is placed, reserved, charged and confirmed', async () => {
    const { status, body } = await post('/orders', order('100', 'A1', 4));
    expect([status, body.status, body.totalPence]).toEqual([201, 'PLACED', 750]);
    await becomes('100', 'CONFIRMED');
    expect(await level('A1')).toBe(STOCK - 4);
    const { rows } = await pool.query(
      'select kind, amount_pence from payments.ledger_entry where invoice_no = $1',
      ['100'],
    );
    expect(rows).toEqual([{ kind: 'CHARGE', amount_pence: '750' }]);
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
    await waitUntil(async () => (await level('C1')) === STOCK, { describe: 'the goods to be back' });
    expect((await post('/orders/120/cancel')).body.status).toBe('REFUNDED');
    const { rows } = await pool.query(
      'select kind, amount_pence from payments.ledger_entry where invoice_no = $1 order by id',
      ['120'],
    );
    expect(rows).toEqual([
      { kind: 'CHARGE', amount_pence: '1350' },
      { kind: 'REFUND', amount_pence: '1350' },
    ]);
  });

  test('over what is in stock is rejected and nothing is set aside', async () => {
    await post('/orders', order('130', 'D1', STOCK + 1));
    expect((await becomes('130', 'REJECTED')).rejection).toBe('not in stock: D1');
    expect(await level('D1')).toBe(STOCK);
    expect((await post('/orders/130/cancel')).body.code).toBe('NOT_CONFIRMED');
  });

  test('that is not paid is rejected and its goods are released', async () => {
    await post('/orders', order('140', 'E1', 99));
    await post('/orders', order('141', 'E2', 2, { customerId: '13' }));
    expect((await becomes('140', 'REJECTED')).rejection).toContain('over the limit');
    expect((await becomes('141', 'REJECTED')).rejection).toBe('customer 13 is declined');
    await waitUntil(async () => (await level('E1')) === STOCK && (await level('E2')) === STOCK, {
      describe: 'the goods to be released',
    });
  });

  test('whose bank transfer does not come in time is rejected by a delayed message, and its goods are released', async () => {
    await post('/orders', order('142', 'E3', 3, { customerId: '14' }));
    expect((await becomes('142', 'REJECTED')).rejection).toBe('the payment did not come');
    await waitUntil(async () => (await level('E3')) === STOCK, { describe: 'the goods to be released' });
  });

  test('that the gateway does not charge waits with the later ones of its customer, until that is decided', async () => {
    await post('/orders', order('144', 'E4', 1, { customerId: '15' }));
    await post('/orders', order('145', 'E4', 1, { customerId: '15' }));
    await post('/orders', order('146', 'E4', 1, { customerId: '7' }));
    await becomes('146', 'CONFIRMED');
    await waitUntil(async () => (await books.progress()).deadLetters === 1, { describe: 'a dead letter' });
    expect((await get('145')).body.status).toBe('PLACED');
    gateway.repair();
    const deadLetters = app.get<DeadLetters>(getDeadLettersToken('payments'));
    const [letter] = await deadLetters.list({ key: '15' });
    expect(letter).toMatchObject({ handler: 'charge', errorClass: 'GatewayUnavailableError', attempts: 6 });
    await deadLetters.redrive(letter?.id ?? 0, { by: 'test' });
    await becomes('145', 'CONFIRMED');
    await becomes('144', 'CONFIRMED');
  });

  test('that nobody knows is 404, one that is wrong is 400', async () => {
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
    await waitUntil(async () => (await level('F1')) === STOCK + 5, { describe: 'the goods to be back' });
  });
});

describe('the shop as a whole', () => {
  test('is healthy', async () => {
    const response = await fetch(`${url}/health`);
    expect([response.status, await response.json()]).toMatchObject([200, { status: 'up' }]);
  });

  test('agrees with itself after all that', async () => {
    await waitUntil(async () => (await books.progress()).lag === 0, { describe: 'every effect' });
    const found = await books.reconcile([{ invoiceNo: '100', lines: [], totalPence: 750 }], gateway.charges);
    expect(found).toMatchObject({
      ...NOTHING_WRONG,
      chargedPence: 750 + 450 + 1350 + 3 * 450,
      refundedPence: 1350 + 850,
    });
    expect(found.messages).toBe(found.published);
    expect(found.messages).toBeGreaterThan(20);
  });
});

describe('the reconciliation', () => {
  const COPY = 'insert into $1 ($2) select $2 from $1 where id = (select min(id) from $1)';
  const copied = (table: string, columns: string): string =>
    COPY.replaceAll('$1', table).replaceAll('$2', columns);
  const effect = 'message_id, topic, partition, log_offset, key';
  const payment = 'kind, invoice_no, customer_id, amount_pence, message_id';

  test.each<[keyof typeof NOTHING_WRONG, string, string]>([
    [
      'missingEffects',
      'an effect is gone',
      'delete from payments.effect where id = (select max(id) from payments.effect)',
    ],
    ['doubleEffects', 'an effect stands twice', copied('inventory.effect', effect)],
    ['strayEffects', 'an effect has no message', `update orders.effect set message_id = 'none' where id = 1`],
    ['outOfOrder', 'an effect was too early', 'update inventory.effect set log_offset = 999 where id = 1'],
    ['deadLetters', 'a message was given up', DEAD_LETTER],
    [
      'missingOutcomes',
      'an order was forgotten',
      `update orders.customer_order set status = 'PLACED' where invoice_no = '110'`,
    ],
    [
      'doubleOutcomes',
      'an order ended twice',
      copied('orders.order_transition', 'invoice_no, from_status, to_status'),
    ],
    ['doublePayments', 'a customer paid twice', copied('payments.ledger_entry', payment)],
    [
      'wrongCharges',
      'a penny too much',
      `update payments.ledger_entry set amount_pence = 1351 where invoice_no = '120'`,
    ],
    ['wrongRefunds', 'a refund is gone', `delete from payments.ledger_entry where invoice_no = 'C150'`],
    ['wrongLevels', 'a piece was lost', `update inventory.stock set level = level - 1 where sku = 'D1'`],
    [
      'doubleMovements',
      'goods left twice',
      copied('inventory.stock_movement', 'sku, quantity, reason, invoice_no, message_id'),
    ],
  ])('counts %s when %s', async (count, _what, tampering) => {
    const before = await books.reconcile([]);
    await pool.query(tampering);
    const after = await books.reconcile([]);
    expect(after[count]).toBeGreaterThan(before[count]);
  });

  test('counts missingInvoices when the file has others, or other totals', async () => {
    const invoices = ['100', '999'].map((invoiceNo) => ({ invoiceNo, lines: [], totalPence: 1 }));
    expect((await books.reconcile(invoices)).missingInvoices).toBe(2);
  });
});
