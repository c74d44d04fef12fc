import pg from 'pg';
import { SERVICE_CODES } from '../contracts/articles.js';
import { subscriptions } from '../contracts/topics.js';
import type { FileInvoice } from './order-file.js';
import { CHARGES, DELIVERY, INVOICES, MONEY, PROGRESS, STOCK } from './reconciliation-queries.js';

/** How far the shop is. */
export interface Progress {
  readonly placed: number;
  readonly confirmed: number;
  readonly rejected: number;
  /** Orders without an outcome. */
  readonly openOrders: number;
  readonly refunded: number;
  /** Returns that are not refunded. */
  readonly openReturns: number;
  readonly deadLetters: number;
  /** Effects of published messages that are still to come. */
  readonly lag: number;
}

/** What the books of the three services say when they are held against each other, and against the file. */
export interface Reconciliation {
  readonly messages: number;
  readonly published: number;
  readonly missingEffects: number;
  readonly doubleEffects: number;
  readonly strayEffects: number;
  readonly outOfOrder: number;
  readonly deadLetters: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly chargedPence: number;
  readonly refundedPence: number;
  readonly missingOutcomes: number;
  readonly doubleOutcomes: number;
  readonly doublePayments: number;
  /** Invoices that the gateway has charged another number of times than the ledger says. */
  readonly gatewayDisagrees: number;
  /** Orders that were rejected because their bank transfer did not come. */
  readonly unpaid: number;
  /** Dead letters that were redriven. */
  readonly redriven: number;
  /** Messages that have waited beside the log. */
  readonly parked: number;
  readonly wrongCharges: number;
  readonly wrongRefunds: number;
  readonly articles: number;
  readonly sold: number;
  readonly returned: number;
  readonly wrongLevels: number;
  readonly doubleMovements: number;
  /** Invoices of the file that the shop does not have, or has with another total. */
  readonly missingInvoices: number;
}

/** Reads the books of all three services by the demo's own login. */
export class ShopBooks {
  private readonly pool: pg.Pool;

  constructor(connectionString: string) {
    this.pool = new pg.Pool({ connectionString, max: 2, application_name: 'shop demo' });
    // A connection that breaks while it is idle is replaced by the pool; the next query tells if the server is gone.
    this.pool.on('error', () => undefined);
  }

  async progress(): Promise<Progress> {
    return this.one<Progress>(PROGRESS, subscriptionParameters());
  }

  /** @param gatewayCharges how often the gateway has charged each invoice; without one there is nothing to compare */
  async reconcile(
    invoices: readonly FileInvoice[],
    gatewayCharges?: ReadonlyMap<string, number>,
  ): Promise<Reconciliation> {
    const delivery = await this.one<Partial<Reconciliation>>(DELIVERY, subscriptionParameters());
    const money = await this.one<Partial<Reconciliation>>(MONEY, []);
    const stock = await this.one<Partial<Reconciliation>>(STOCK, [SERVICE_CODES]);
    const { rows } = await this.pool.query<{ invoiceNo: string; totalPence: number }>(INVOICES);
    const totals = new Map(rows.map(({ invoiceNo, totalPence }) => [invoiceNo, totalPence]));
    const missing = invoices.filter(({ invoiceNo, totalPence }) => totals.get(invoiceNo) !== totalPence);
    const gatewayDisagrees = gatewayCharges === undefined ? 0 : await this.compareCharges(gatewayCharges);
    return {
      ...delivery,
      ...money,
      ...stock,
      gatewayDisagrees,
      missingInvoices: missing.length,
    } as Reconciliation;
  }

  private async compareCharges(gatewayCharges: ReadonlyMap<string, number>): Promise<number> {
    const { rows } = await this.pool.query<{ invoiceNo: string; charges: number }>(CHARGES);
    const ledger = new Map(rows.map(({ invoiceNo, charges }) => [invoiceNo, charges]));
    const all = new Set([...ledger.keys(), ...gatewayCharges.keys()]);
    return [...all].filter(
      (invoiceNo) => (ledger.get(invoiceNo) ?? 0) !== (gatewayCharges.get(invoiceNo) ?? 0),
    ).length;
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async one<T>(query: string, parameters: unknown[]): Promise<T> {
    const { rows } = await this.pool.query(query, parameters);
    return rows[0] as T;
  }
}

function subscriptionParameters(): [string[], string[]] {
  const all = subscriptions();
  return [all.map(({ topic }) => topic), all.map(({ service }) => service)];
}
