import type { InvoiceToSettle } from '../contracts/messages.js';
import type { Prisma } from './generated/client.js';
import type { InvoiceRequest } from './order-request.js';

/** Reads an order or a return together with its lines, in their order. */
export const INVOICE_WITH_LINES = { lines: { orderBy: { lineNo: 'asc' } } } as const;

/** An order or a return with its lines, as it is stored. */
export type StoredInvoice =
  | Prisma.CustomerOrderGetPayload<{ include: typeof INVOICE_WITH_LINES }>
  | Prisma.ReturnNoteGetPayload<{ include: typeof INVOICE_WITH_LINES }>;

/** An order or a return as the HTTP interface shows it: the request, and its outcome. */
export interface InvoiceView extends InvoiceRequest {
  readonly status: string;
  /** Why the order was rejected; null if it was not. */
  readonly rejection: string | null;
}

/** The fields of an order or a return that a caller may see. */
export function invoiceView(stored: StoredInvoice): InvoiceView {
  return {
    invoiceNo: stored.invoiceNo,
    status: stored.status,
    rejection: 'rejection' in stored ? stored.rejection : null,
    customerId: stored.customerId,
    country: stored.country,
    placedAt: stored.placedAt?.toISOString() ?? null,
    totalPence: Number(stored.totalPence),
    lines: stored.lines.map(({ sku, description, quantity, unitPricePence }) => ({
      sku,
      description,
      quantity,
      unitPricePence,
    })),
  };
}

/** The fields of an order or a return that the sagas use. */
export function invoiceToSettle({
  invoiceNo,
  customerId,
  totalPence,
  lines,
}: InvoiceRequest): InvoiceToSettle {
  return {
    invoiceNo,
    customerId,
    amountPence: totalPence,
    lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
  };
}
