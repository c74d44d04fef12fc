import pg from 'pg';
import { SERVICE_CODES } from '../../contracts/articles.js';
import { subscriptions } from '../../contracts/topics.js';
import type { GatewayMovement } from '../gateway/gateway-journal.js';
import type { FileInvoice } from '../orders/order-file.js';
import {
  DELIVERY,
  INVOICES,
  LEDGER,
  MONEY,
  PAYMENT_STEPS,
  PROGRESS,
  STEPS,
  STOCK,
} from './reconciliation-queries.js';

/** The shop's progress. */
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
  /** Sagas that have not ended, and pending effects of events. */
  readonly lag: number;
}

/** The result of comparing the services' books with each other, and with the file. */
export interface Reconciliation {
  readonly messages: number;
  /** Records of events in the log. */
  readonly eventRecords: number;
  /** Events that were published. */
  readonly published: number;
  readonly missingEffects: number;
  readonly doubleEffects: number;
  readonly strayEffects: number;
  readonly outOfOrder: number;
  /** Steps of sagas that the outcome of their order requires, and that did not take effect. */
  readonly missingSteps: number;
  readonly doubleSteps: number;
  /** Steps that contradict the outcome of their order, or belong to none. */
  readonly straySteps: number;
  /** Steps that took effect before an earlier one. */
  readonly stepsOutOfOrder: number;
  /** Sagas that have not ended, and undecided half messages. */
  readonly openSagas: number;
  readonly deadLetters: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly chargedPence: number;
  readonly refundedPence: number;
  /** Charged and paid back for orders that were rejected in the end. */
  readonly undonePence: number;
  readonly missingOutcomes: number;
  readonly doubleOutcomes: number;
  readonly doublePayments: number;
  /** Charges and refunds that are in only one of the books of the gateway and the ledger, or have different amounts. */
  readonly gatewayDisagrees: number;
  /** Orders that were rejected because their bank transfer did not arrive. */
  readonly unpaid: number;
  /** Dead letters that were redriven. */
  readonly redriven: number;
  /** Messages that were parked. */
  readonly parked: number;
  readonly wrongCharges: number;
  readonly wrongRefunds: number;
  /** Orders whose number of parcels, sent or not, differs from what their outcome requires. */
  readonly wrongShipments: number;
  readonly articles: number;
  readonly sold: number;
  readonly returned: number;
  readonly wrongLevels: number;
  readonly doubleMovements: number;
  /** Invoices of the file that the shop does not have, or has with a different total. */
  readonly missingInvoices: number;
}

/** A row of the ledger. */
interface LedgerRow {
  readonly kind: 'CHARGE' | 'REFUND';
  readonly method: 'CARD' | 'TRANSFER';
  readonly invoice_no: string;
  readonly amount_pence: number;
  readonly reference: string;
}

/** Reads the books of all services, in both databases, by the demo's own login. */
export class ShopBooks {
  private readonly main: pg.Pool;
  private readonly ledger: pg.Pool;

  constructor(main: string, ledger: string) {
    this.main = openPool(main);
    this.ledger = openPool(ledger);
  }

  async progress(): Promise<Progress> {
    return this.one<Progress>(PROGRESS, [subscriptions().map(({ topic }) => topic)]);
  }

  /** @param gateway what the gateway reports that it has done; without it the comparison is skipped */
  async reconcile(
    invoices: readonly FileInvoice[],
    gateway?: readonly GatewayMovement[],
  ): Promise<Reconciliation> {
    const ledger = (await this.ledger.query<LedgerRow>(LEDGER)).rows;
    const paymentSteps = (await this.ledger.query<object>(PAYMENT_STEPS)).rows;
    const all = subscriptions();
    const subscribed = [all.map(({ topic }) => topic), all.map(({ service }) => service)];
    const delivery = await this.one<Partial<Reconciliation>>(DELIVERY, subscribed);
    const steps = await this.one<Partial<Reconciliation>>(STEPS, [JSON.stringify(paymentSteps)]);
    const money = await this.one<Partial<Reconciliation>>(MONEY, [JSON.stringify(ledger)]);
    const stock = await this.one<Partial<Reconciliation>>(STOCK, [SERVICE_CODES]);
    const { rows } = await this.main.query<{ invoiceNo: string; totalPence: number }>(INVOICES);
    const totals = new Map(rows.map(({ invoiceNo, totalPence }) => [invoiceNo, totalPence]));
    const missing = invoices.filter(({ invoiceNo, totalPence }) => totals.get(invoiceNo) !== totalPence);
    return {
      ...delivery,
      ...steps,
      ...money,
      ...stock,
      gatewayDisagrees: gateway === undefined ? 0 : compare(ledger, gateway),
      missingInvoices: missing.length,
    } as Reconciliation;
  }

  async close(): Promise<void> {
    await Promise.all([this.main.end(), this.ledger.end()]);
  }

  private async one<T>(query: string, parameters: unknown[]): Promise<T> {
    const { rows } = await this.main.query(query, parameters);
    return rows[0] as T;
  }
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 2, application_name: 'shop demo' });
  // A connection that breaks while it is idle is replaced by the pool; the next query shows whether the server is gone.
  pool.on('error', () => undefined);
  return pool;
}

/** Counts entries that are not in both books, one by one: by kind, key, invoice and amount. */
function compare(ledger: readonly LedgerRow[], gateway: readonly GatewayMovement[]): number {
  const left = new Map<string, number>();
  const count = (line: string, by: 1 | -1): void => void left.set(line, (left.get(line) ?? 0) + by);
  for (const { kind, method, reference, invoice_no, amount_pence } of ledger)
    if (method === 'CARD') count(`${kind} ${reference} ${invoice_no} ${amount_pence}`, 1);
  for (const { state, key, invoiceNo, amountPence } of gateway) {
    if (state === 'awaited') continue;
    count(`${state === 'charged' ? 'CHARGE' : 'REFUND'} ${key} ${invoiceNo} ${amountPence}`, -1);
  }
  return [...left.values()].reduce((sum, difference) => sum + Math.abs(difference), 0);
}
