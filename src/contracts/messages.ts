/** One article of an order. Money is always whole pence. */
export interface MessageLine {
  readonly sku: string;
  readonly quantity: number;
}

/** What every message and command of the shop says about the order or return that it belongs to. */
export interface AboutInvoice {
  readonly invoiceNo: string;
  readonly customerId: string | null;
}

/** With what the order or return is over. */
export interface AboutMoney extends AboutInvoice {
  readonly amountPence: number;
}

/** An order or a return, as sagas know it. */
export interface InvoiceToSettle extends AboutMoney {
  readonly lines: readonly MessageLine[];
}
