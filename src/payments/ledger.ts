import type { PaymentsTransaction } from './payments-prisma.js';

/** State of a payment. */
export type PaymentStatus = 'OPEN' | 'AWAITED' | 'PAID' | 'CLOSED';

/** Payment method. */
export type PaymentMethod = 'CARD' | 'TRANSFER';

/** A payment whose row this transaction has locked. */
export interface LockedPayment {
  readonly invoiceNo: string;
  readonly customerId: string | null;
  readonly amountPence: number;
  readonly status: PaymentStatus;
  readonly method: PaymentMethod | null;
  readonly chargeKey: string;
}

/** A charge or a refund, to be written. */
export interface LedgerLine {
  readonly kind: 'CHARGE' | 'REFUND';
  readonly method: PaymentMethod;
  /** The gateway's key, or the bank's reference. */
  readonly reference: string;
}

/** Locks a payment until the end of `tx`: a charge and the end of the payment must exclude each other. */
export async function lockPayment(
  tx: PaymentsTransaction,
  invoiceNo: string,
): Promise<LockedPayment | undefined> {
  const [row] = await tx.$queryRaw<
    {
      customer_id: string | null;
      amount_pence: bigint;
      status: PaymentStatus;
      method: PaymentMethod | null;
      charge_key: string;
    }[]
  >`
    select customer_id, amount_pence, status, method, charge_key from payments.payment
     where invoice_no = ${invoiceNo} for update`;
  if (row === undefined) return undefined;
  const { customer_id: customerId, amount_pence: amountPence, status, method, charge_key: chargeKey } = row;
  return { invoiceNo, customerId, amountPence: Number(amountPence), status, method, chargeKey };
}

/** Moves a locked payment. */
export async function movePayment(
  tx: PaymentsTransaction,
  { invoiceNo }: LockedPayment,
  status: PaymentStatus,
  method?: PaymentMethod,
): Promise<void> {
  const data = method === undefined ? { status } : { status, method };
  await tx.payment.update({ where: { invoiceNo }, data, select: { invoiceNo: true } });
}

/** Writes a charge or a refund into the ledger. */
export async function enter(
  tx: PaymentsTransaction,
  { kind, method, reference }: LedgerLine,
  about: Pick<LockedPayment, 'invoiceNo' | 'customerId' | 'amountPence'>,
): Promise<void> {
  const { invoiceNo, customerId, amountPence } = about;
  await tx.ledgerEntry.create({
    data: { kind, method, invoiceNo, customerId, amountPence: BigInt(amountPence), reference },
  });
}
