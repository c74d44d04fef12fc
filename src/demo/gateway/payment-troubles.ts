import type { GatewayCustomers } from './gateway-server.js';
import type { FileInvoice } from '../orders/order-file.js';
import { isReturn } from '../orders/order-line.js';

/** Number of customers with each kind of payment failure. */
const OF_A_KIND = 2;
/** A sale over this amount is declined before the gateway is called; the shop's default. */
const CHARGE_LIMIT_PENCE = 500_000;

/** Which customers of a file have payment failures, or cannot be delivered to, and the number of their orders. */
export interface PaymentTroubles extends GatewayCustomers {
  /** No carrier delivers to them: their charges are paid back. */
  readonly undeliverable: ReadonlySet<string>;
  /** Orders that cannot be paid before the gateway is repaired. */
  readonly stuckOrders: number;
}

/**
 * Picks customers from a file, the same at every run: two whose cards cannot be charged, with several orders if
 * possible, two who choose a bank transfer and never pay, and one without delivery; these with few orders.
 */
export function paymentTroubles(invoices: readonly FileInvoice[]): PaymentTroubles {
  const sales = new Map<string, number>();
  const tooLarge = new Set<string>();
  for (const { invoiceNo, lines, totalPence } of invoices) {
    const customer = lines[0]?.customerId;
    if (isReturn(invoiceNo) || customer === null || customer === undefined) continue;
    sales.set(customer, (sales.get(customer) ?? 0) + 1);
    if (totalPence > CHARGE_LIMIT_PENCE) tooLarge.add(customer);
  }
  const usable = [...sales].filter(([customer]) => !tooLarge.has(customer));
  const several = usable.filter(([, count]) => count > 1);
  const single = usable.filter(([, count]) => count === 1);
  const broken = [...several, ...single].slice(0, OF_A_KIND);
  const rest = usable.filter((entry) => !broken.includes(entry)).sort(([, a], [, b]) => a - b);
  return {
    broken: names(broken),
    transfer: names(rest.slice(0, OF_A_KIND)),
    undeliverable: names(rest.slice(OF_A_KIND, OF_A_KIND + 1)),
    stuckOrders: broken.reduce((sum, [, count]) => sum + count, 0),
  };
}

function names(customers: readonly [string, number][]): Set<string> {
  return new Set(customers.map(([customer]) => customer));
}
