import pg from 'pg';
import { SERVICE_CODES } from '../../contracts/articles.js';
import { SERVICES } from '../../contracts/services.js';
import { subscriptions } from '../../contracts/topics.js';
import type { ShopDatabases } from '../../database/prepare-database.js';
import type { GatewayMovement } from '../gateway/gateway-journal.js';
import type { FileInvoice } from '../orders/order-file.js';
import {
  DELIVERY,
  EFFECTS,
  HANDLED,
  INVENTORY_STEPS,
  INVOICES,
  LEDGER,
  LEVELS,
  LOG,
  MONEY,
  MOVEMENTS,
  PAYMENT_STEPS,
  PROGRESS,
  SERVICE_STATE,
  SHIPMENTS,
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

/** A service's own part of Waybill, as SERVICE_STATE reads it. */
interface ServiceState {
  readonly deadLetters: number;
  readonly redriven: number;
  readonly parked: number;
  readonly sagas: number;
  readonly halves: number;
}

/** Reads the books of all services, each in its database, by the demo's own login. */
export class ShopBooks {
  private readonly pools: Readonly<Record<keyof ShopDatabases, pg.Pool>>;

  constructor({ orders, inventory, payments, bus }: ShopDatabases) {
    this.pools = {
      orders: openPool(orders),
      inventory: openPool(inventory),
      payments: openPool(payments),
      bus: openPool(bus),
    };
  }

  async progress(): Promise<Progress> {
    // Read first: what is published meanwhile is lag, and not more effects than events.
    const { handled } = await this.one<{ handled: number }>('inventory', HANDLED);
    const topics = subscriptions().map(({ topic }) => topic);
    const { published, ...orders } = await this.one<Progress & { published: number }>('orders', PROGRESS, [
      topics,
    ]);
    const { deadLetters, sagas } = await this.state();
    return { ...orders, deadLetters, lag: sagas + published - handled };
  }

  /** @param gateway what the gateway reports that it has done; without it the comparison is skipped */
  async reconcile(
    invoices: readonly FileInvoice[],
    gateway?: readonly GatewayMovement[],
  ): Promise<Reconciliation> {
    const ledger = await this.rows<LedgerRow>('payments', LEDGER);
    const all = subscriptions();
    const topics = all.map(({ topic }) => topic);
    const { sagas, halves, ...state } = await this.state();
    const log = await this.one<Partial<Reconciliation>>('bus', LOG, [topics]);
    const delivery = await this.compared(DELIVERY, [
      topics,
      all.map(({ service }) => service),
      JSON.stringify(await this.rows('inventory', EFFECTS)),
    ]);
    const taken = [
      ...(await this.rows('inventory', INVENTORY_STEPS)),
      ...(await this.rows('payments', PAYMENT_STEPS)),
    ];
    const steps = await this.compared(STEPS, [JSON.stringify(taken)]);
    const shipments = await this.rows('inventory', SHIPMENTS);
    const money = await this.compared(MONEY, [JSON.stringify(ledger), JSON.stringify(shipments)]);
    const levels = await this.rows('inventory', LEVELS);
    const movements = await this.rows('inventory', MOVEMENTS);
    const stock = await this.compared(STOCK, [
      SERVICE_CODES,
      JSON.stringify(levels),
      JSON.stringify(movements),
    ]);
    const rows = await this.rows<{ invoiceNo: string; totalPence: number }>('orders', INVOICES);
    const totals = new Map(rows.map(({ invoiceNo, totalPence }) => [invoiceNo, totalPence]));
    const missing = invoices.filter(({ invoiceNo, totalPence }) => totals.get(invoiceNo) !== totalPence);
    return {
      ...state,
      ...log,
      ...delivery,
      ...steps,
      ...money,
      ...stock,
      openSagas: sagas + halves,
      gatewayDisagrees: gateway === undefined ? 0 : compare(ledger, gateway),
      missingInvoices: missing.length,
    } as Reconciliation;
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.pools).map((pool) => pool.end()));
  }

  /** The sums of all services. */
  private async state(): Promise<ServiceState> {
    const sum = { deadLetters: 0, redriven: 0, parked: 0, sagas: 0, halves: 0 };
    for (const service of SERVICES) {
      const state = await this.one<ServiceState>(service, SERVICE_STATE);
      for (const name of Object.keys(sum) as (keyof ServiceState)[]) sum[name] += state[name];
    }
    return sum;
  }

  /** Compares what was read elsewhere with the orders. */
  private compared(query: string, parameters: unknown[]): Promise<Partial<Reconciliation>> {
    return this.one('orders', query, parameters);
  }

  private async one<T>(database: keyof ShopDatabases, query: string, parameters: unknown[] = []): Promise<T> {
    const { rows } = await this.pools[database].query(query, parameters);
    return rows[0] as T;
  }

  private async rows<T extends object>(database: keyof ShopDatabases, query: string): Promise<T[]> {
    return (await this.pools[database].query<T>(query)).rows;
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
