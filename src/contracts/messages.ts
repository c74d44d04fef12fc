/** One article of an order. Money is always whole pence. */
export interface MessageLine {
  readonly sku: string;
  readonly quantity: number;
}

/** The part of every message and command that identifies its order or return. */
export interface AboutInvoice {
  readonly invoiceNo: string;
  readonly customerId: string | null;
}

/** The outcome of an order or return. */
export interface AboutMoney extends AboutInvoice {
  readonly amountPence: number;
}

/** An order or a return, as sagas see it. */
export interface InvoiceToSettle extends AboutMoney {
  readonly lines: readonly MessageLine[];
}
