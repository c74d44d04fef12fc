import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import { type Message, Outbox, OutboxTransactions } from '@waybill/outbox';
import { PostgresLogEngine } from '@waybill/log/postgres';
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

/** One way to place an order, by one of {@link CONNECTIONS} workers: repeatedly, until it is told to stop. */
type Worker = (placeWhile: () => boolean) => Promise<void>;

/**
 * Places orders as the shop does, in its tables: begin, two reads, three writes, commit; with and without one message.
 * Four ways take turns in short rounds, so that a slow moment of the machine affects all: by Waybill's transactions
 * without a message, and with one, which is sent with COMMIT; by a plain pg client without one, and with one, which is
 * one statement more.
 *
 * @returns the median, over neighbouring rounds, of the rate of Waybill's transactions with a message divided by their
 *   rate without
 */
export async function measureProducers(connectionString: string, report: Report): Promise<number> {
  const pool = new pg.Pool({ connectionString, max: CONNECTIONS });
  // The database is dropped when the measurement is over: a connection that is being closed may receive an error.
  pool.on('error', () => undefined);
  const database = new PgDatabase({ connectionString, connectionsMax: CONNECTIONS });
  try {
    await pool.query(readFileSync(TABLES, 'utf8'));
    await new PostgresLogEngine(database).topics.create('orders.placed');
    const outbox = new Outbox();
    const transactions = new OutboxTransactions(outbox, new PgTransactionRunner(database));
    const ways = {
      without: inTransactions(transactions, false),
      withCommit: inTransactions(transactions, true),
      plain: onClient(pool, undefined),
      asStatement: onClient(pool, outbox),
    };
    const names = Object.keys(ways) as (keyof typeof ways)[];
    for (const name of names) await round(ways[name]);
    const ratios = {
      withCommit: [] as number[],
      asStatement: [] as number[],
      plainWithCommit: [] as number[],
    };
    for (let index = 0; index < ROUNDS; index += 1) {
      const rates = { without: 0, withCommit: 0, plain: 0, asStatement: 0 };
      // The order changes, so that none always runs on the fresher database, or after the same neighbour.
      for (const name of orderOf(names, index)) rates[name] = await round(ways[name]);
      ratios.withCommit.push(rates.withCommit / rates.without);
      ratios.asStatement.push(rates.asStatement / rates.plain);
      ratios.plainWithCommit.push(rates.withCommit / rates.plain);
      if (index % 10 === 0)
        report(`producers, tx/s: ${names.map((name) => `${name} ${Math.round(rates[name])}`).join(', ')}`);
    }
    const ratio = median(ratios.withCommit);
    report(`producers: ratio ${ratio.toFixed(3)} with and without a message in Waybill's transactions`);
    report(
      `producers: ratio ${median(ratios.asStatement).toFixed(3)} with and without, as a statement on a plain client`,
    );
    report(
      `producers: ratio ${median(ratios.plainWithCommit).toFixed(3)} of Waybill's with a message to a plain client without`,
    );
    return ratio;
  } finally {
    await pool.end();
    await database.close();
  }
}

/** Orders of the names in turn: each is first as often as the others, in both directions. */
function orderOf<T>(names: readonly T[], index: number): readonly T[] {
  const turned = names.map((_, at) => names[(at + index) % names.length] as T);
  return Math.floor(index / names.length) % 2 === 0 ? turned : turned.toReversed();
}

async function round(worker: Worker): Promise<number> {
  const started = performance.now();
  const until = started + ROUND_MS;
  let count = 0;
  const placeWhile = (): boolean => {
    const goesOn = performance.now() < until;
    if (goesOn) count += 1;
    return goesOn;
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, () => worker(placeWhile)));
  return (count / (performance.now() - started)) * 1000;
}

/** A worker that takes a pg client for each order, and publishes with a separate statement if an outbox is given. */
function onClient(pool: pg.Pool, outbox: Outbox | undefined): Worker {
  return async (placeWhile) => {
    while (placeWhile()) {
      const order = randomOrder();
      const client = await pool.connect();
      try {
        await client.query('begin');
        await writeOrder(client, order);
        await outbox?.publish(client, messageOf(order));
        await client.query('commit');
      } finally {
        client.release();
      }
    }
  };
}

function inTransactions(transactions: OutboxTransactions<pg.PoolClient>, publish: boolean): Worker {
  return async (placeWhile) => {
    while (placeWhile()) {
      const order = randomOrder();
      await transactions.run(async (client, outbox) => {
        await writeOrder(client, order);
        if (publish) outbox.publish(messageOf(order));
      });
    }
  };
}

interface Line {
  readonly sku: string;
  readonly description: string;
  readonly quantity: number;
  readonly unitPricePence: number;
}

interface Order {
  readonly invoiceNo: string;
  readonly lines: readonly Line[];
  readonly total: number;
}

function randomOrder(): Order {
  const lines = Array.from({ length: LINES }, randomLine);
  const total = lines.reduce((sum, { quantity, unitPricePence }) => sum + quantity * unitPricePence, 0);
  return { invoiceNo: randomUUID(), lines, total };
}

function messageOf({ invoiceNo, lines, total }: Order): Message {
  return {
    topic: 'orders.placed',
    key: '17850',
    payload: {
      invoiceNo,
      customerId: '17850',
      amountPence: total,
      lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
    },
  };
}

/** The statements of the shop's OrdersService, as Prisma sends them: two reads, three writes. */
async function writeOrder(client: pg.PoolClient, { invoiceNo, lines, total }: Order): Promise<void> {
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
