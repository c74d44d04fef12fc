import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Outbox } from '@waybill/outbox';
import { PgDatabase } from '@waybill/kernel';
import { Topics } from '@waybill/log';
import pg from 'pg';
import type { Report } from '../main.js';
import { median } from '../statistics.js';

const CONNECTIONS = 16;
/** Lines of an order: the mean of the real ones (10,000 lines of 512 invoices). */
const LINES = 20;
const ROUNDS = 81;
const ROUND_MS = 300;

/** The shop's own tables of orders. */
const TABLES = new URL('../../../prisma/orders/migrations/0001_initial/migration.sql', import.meta.url);

/**
 * Places orders as the shop does, in its tables: begin, two reads, three writes, commit; in every other round with one
 * message in the outbox as well. The rounds are short and take turns, so that a slow moment of the machine hits both.
 *
 * @returns the median, over neighbouring rounds, of the rate with outbox divided by the rate without
 */
export async function measureProducers(connectionString: string, report: Report): Promise<number> {
  const pool = new pg.Pool({ connectionString, max: CONNECTIONS });
  // The database is dropped when the measurement is over: a connection that is just being closed may hear of it.
  pool.on('error', () => undefined);
  const database = new PgDatabase({ connectionString, connectionsMax: 2 });
  try {
    await pool.query(readFileSync(TABLES, 'utf8'));
    const topics = new Topics(database.session);
    await topics.create('orders.placed');
    const outbox = new Outbox({ topics });
    const ratios: number[] = [];
    await round(pool, undefined);
    await round(pool, outbox);
    for (let index = 0; index < ROUNDS; index += 1) {
      // Which comes first changes, so that neither always runs on the fresher database.
      const first = index % 2 === 0 ? undefined : outbox;
      const a = await round(pool, first);
      const b = await round(pool, first === undefined ? outbox : undefined);
      const [without, withOutbox] = first === undefined ? [a, b] : [b, a];
      ratios.push(withOutbox / without);
      if (index % 10 === 0) {
        report(`producers: ${Math.round(without)} tx/s without, ${Math.round(withOutbox)} with the outbox`);
      }
    }
    return median(ratios);
  } finally {
    await pool.end();
    await database.close();
  }
}

async function round(pool: pg.Pool, outbox: Outbox | undefined): Promise<number> {
  const started = performance.now();
  const until = started + ROUND_MS;
  let count = 0;
  const worker = async (): Promise<void> => {
    const client = await pool.connect();
    try {
      while (performance.now() < until) {
        await placeOrder(client, outbox);
        count += 1;
      }
    } finally {
      client.release();
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  return (count / (performance.now() - started)) * 1000;
}

interface Line {
  readonly sku: string;
  readonly description: string;
  readonly quantity: number;
  readonly unitPricePence: number;
}

/** The statements of the shop's OrdersService, as Prisma sends them: two reads, three writes. */
async function placeOrder(client: pg.PoolClient, outbox: Outbox | undefined): Promise<void> {
  const invoiceNo = randomUUID();
  const lines = Array.from({ length: LINES }, randomLine);
  const total = lines.reduce((sum, { quantity, unitPricePence }) => sum + quantity * unitPricePence, 0);
  await client.query('begin');
  await client.query(
    `select invoice_no, customer_id, country, placed_at, status, total_pence, rejection, request_hash
       from customer_order where invoice_no = $1`,
    [invoiceNo],
  );
  await client.query(
    `select line_no, sku, description, quantity, unit_price_pence from order_line
      where invoice_no = $1 order by line_no`,
    [invoiceNo],
  );
  await client.query(
    `insert into customer_order (invoice_no, customer_id, country, placed_at, status, total_pence, request_hash)
     values ($1, $2, $3, $4, 'PLACED', $5, $6)`,
    [invoiceNo, '17850', 'United Kingdom', new Date(), total, 'f'.repeat(64)],
  );
  await client.query(insertLines, [
    invoiceNo,
    ...lines.flatMap((line, index) => [
      index + 1,
      line.sku,
      line.description,
      line.quantity,
      line.unitPricePence,
    ]),
  ]);
  await client.query('insert into published_message (message_id, topic, key) values ($1, $2, $3)', [
    invoiceNo,
    'orders.placed',
    '17850',
  ]);
  await outbox?.publish(client, {
    topic: 'orders.placed',
    key: '17850',
    payload: {
      invoiceNo,
      customerId: '17850',
      amountPence: total,
      lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
    },
  });
  await client.query('commit');
}

const insertLines = `insert into order_line (invoice_no, line_no, sku, description, quantity, unit_price_pence) values ${Array.from(
  { length: LINES },
  (_, row) => `($1, ${[2, 3, 4, 5, 6].map((column) => `$${row * 5 + column}`).join(', ')})`,
).join(', ')}`;

function randomLine(): Line {
  const article = Math.floor(Math.random() * 2_000);
  return {
    sku: `${20_000 + article}`,
    description: `WHITE HANGING HEART T-LIGHT HOLDER ${article}`,
    quantity: 1 + (article % 12),
    unitPricePence: 10 + ((article * 7) % 900),
  };
}
