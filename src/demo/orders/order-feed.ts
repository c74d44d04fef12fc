import { setTimeout as delay } from 'node:timers/promises';
import { ShopError } from '../../shop-error.js';
import type { FileInvoice } from './order-file.js';
import { isReturn } from './order-line.js';

const CONCURRENCY = 8;
const REQUEST_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
const GIVE_UP_MS = 120_000;

/** Options of the feed. */
export interface OrderFeedOptions {
  /** Current URL for orders; undefined while the service is down. */
  readonly url: () => string | undefined;
  /** Called after each accepted invoice, with their number so far. */
  readonly onFed: (count: number) => void;
  /** Ends the feed. */
  readonly signal: AbortSignal;
}

/**
 * Sends every invoice to the shop, a few at a time: sales as orders, those that start with C as returns. A request
 * that fails, or gets a 5xx, is sent again until the shop responds; the invoice number makes that harmless.
 * @throws ShopError DEMO_FEED when the shop refuses an invoice, or does not respond for two minutes.
 */
export async function feedOrders(invoices: readonly FileInvoice[], options: OrderFeedOptions): Promise<void> {
  let next = 0;
  let fed = 0;
  const worker = async (): Promise<void> => {
    while (next < invoices.length) {
      const invoice = invoices[next++] as FileInvoice;
      await send(invoice, options);
      options.onFed(++fed);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

async function send(invoice: FileInvoice, options: OrderFeedOptions): Promise<void> {
  const giveUpAt = Date.now() + GIVE_UP_MS;
  let pause = FIRST_PAUSE_MS;
  let failure = '';
  while (Date.now() < giveUpAt) {
    options.signal.throwIfAborted();
    const url = options.url();
    const answer = url === undefined ? 'the service is down' : await post(url, invoice, options.signal);
    if (answer === undefined) return;
    failure = answer;
    await delay(pause, undefined, { signal: options.signal });
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
  throw new ShopError(
    'DEMO_FEED',
    `Invoice ${invoice.invoiceNo} could not be placed for ${GIVE_UP_MS / 1000} s (${failure}). Look at the orders service.`,
  );
}

/** @returns undefined when the shop has the invoice, else the reason to send it again. */
async function post(url: string, invoice: FileInvoice, signal: AbortSignal): Promise<string | undefined> {
  let status: number;
  let text: string;
  try {
    const response = await fetch(`${url}/${isReturn(invoice.invoiceNo) ? 'returns' : 'orders'}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(requestOf(invoice)),
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof Error ? error.message : String(error);
  }
  if (status < 300) return undefined;
  if (status >= 500) return `HTTP ${status}`;
  throw new ShopError(
    'DEMO_FEED',
    `The shop refused invoice ${invoice.invoiceNo} with ${status}: ${text}. Correct it.`,
  );
}

function requestOf({ invoiceNo, lines }: FileInvoice): unknown {
  const first = lines[0];
  return {
    invoiceNo,
    customerId: first?.customerId,
    country: first?.country,
    placedAt: first?.placedAt,
    lines: lines.map(({ sku, description, quantity, unitPricePence }) => ({
      sku,
      description,
      quantity,
      unitPricePence,
    })),
  };
}
