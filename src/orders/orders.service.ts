import { createHash } from 'node:crypto';
import { ConflictException, Inject, Injectable, NotFoundException } from '@nestjs/common';
import { InjectWaybill, Sagas } from '@waybill/nestjs';
import { Prisma } from './generated/client.js';
import { lockOrder, moveOrder } from './order-moves.js';
import type { InvoiceRequest } from './order-request.js';
import {
  INVOICE_WITH_LINES,
  invoiceToSettle,
  type InvoiceView,
  invoiceView,
  type StoredInvoice,
} from './order-view.js';
import { OrdersPrisma, type OrdersTransaction } from './orders-prisma.js';
import { PlaceOrder } from './place-order.saga.js';
import { TakeBack } from './take-back.saga.js';

/** An order or a return, and whether it was this request that created it. */
export interface PlacedInvoice {
  readonly created: boolean;
  readonly invoice: InvoiceView;
}

/** Requests for orders and returns, each in one transaction with the saga that it starts. */
@Injectable()
export class OrdersService {
  constructor(
    @Inject(OrdersPrisma) private readonly prisma: OrdersPrisma,
    @InjectWaybill(Sagas, 'orders') private readonly sagas: Sagas,
    @Inject(PlaceOrder) private readonly placing: PlaceOrder,
    @Inject(TakeBack) private readonly takingBack: TakeBack,
  ) {}

  /**
   * Places an order. The same request again returns the order that it placed.
   * @throws ConflictException (409) when the invoice number belongs to another request.
   */
  async placeOrder(request: InvoiceRequest): Promise<PlacedInvoice> {
    const { invoiceNo } = request;
    const status = 'PLACED';
    const find = () =>
      this.prisma.customerOrder.findUnique({ where: { invoiceNo }, include: INVOICE_WITH_LINES });
    return this.once(request, status, find, async (tx) => {
      await tx.customerOrder.create({
        data: { ...invoiceData(request), status },
        select: { invoiceNo: true },
      });
      const start = { key: invoiceNo, data: invoiceToSettle(request) };
      await this.sagas.start(tx, this.placing.definition, start);
    });
  }

  /**
   * Takes goods back on a credit note, for which the customer is paid. Idempotent like {@link placeOrder}.
   * @throws ConflictException (409) when the invoice number belongs to another request.
   */
  async takeBack(request: InvoiceRequest): Promise<PlacedInvoice> {
    const { invoiceNo } = request;
    const status = 'RETURNED';
    const find = () =>
      this.prisma.returnNote.findUnique({ where: { invoiceNo }, include: INVOICE_WITH_LINES });
    return this.once(request, status, find, async (tx) => {
      await tx.returnNote.create({ data: { ...invoiceData(request), status }, select: { invoiceNo: true } });
      const data = { ...invoiceToSettle(request), cause: 'returned' as const };
      await this.sagas.start(tx, this.takingBack.definition, { key: invoiceNo, data });
    });
  }

  /**
   * Cancels a confirmed order. One that is being cancelled, or has been, is returned unchanged.
   * @throws NotFoundException (404), ConflictException (409) for an order that is not confirmed.
   */
  async cancel(invoiceNo: string): Promise<InvoiceView> {
    return this.prisma.$transaction(async (tx) => {
      const locked = await lockOrder(tx, invoiceNo);
      if (locked === undefined) throw unknownInvoice(invoiceNo);
      if (locked.status === 'PLACED' || locked.status === 'REJECTED')
        throw notConfirmed(invoiceNo, locked.status);
      if (locked.status === 'CONFIRMED') await moveOrder(tx, locked, 'cancelled', null);
      const query = { where: { invoiceNo }, include: INVOICE_WITH_LINES };
      const order = invoiceView(await tx.customerOrder.findUniqueOrThrow(query));
      if (locked.status === 'CONFIRMED') {
        const data = { ...invoiceToSettle(order), cause: 'cancelled' as const };
        await this.sagas.start(tx, this.takingBack.definition, { key: invoiceNo, data });
      }
      return order;
    });
  }

  /**
   * Tells the order's saga that its bank transfer has arrived.
   * @throws NotFoundException (404), ConflictException (409) for an order that has its outcome.
   */
  async transferCame(invoiceNo: string, reference: string): Promise<InvoiceView> {
    return this.prisma.$transaction(async (tx) => {
      const locked = await lockOrder(tx, invoiceNo);
      if (locked === undefined) throw unknownInvoice(invoiceNo);
      if (locked.status !== 'PLACED') throw notOpen(invoiceNo, locked.status);
      const saga = { saga: this.placing.definition, key: invoiceNo };
      await this.sagas.signal(tx, saga, 'transfer', { reference });
      const query = { where: { invoiceNo }, include: INVOICE_WITH_LINES };
      return invoiceView(await tx.customerOrder.findUniqueOrThrow(query));
    });
  }

  /**
   * The current state of an order or a return.
   * @throws NotFoundException (404)
   */
  async find(invoiceNo: string): Promise<InvoiceView> {
    const query = { where: { invoiceNo }, include: INVOICE_WITH_LINES };
    const found =
      (await this.prisma.customerOrder.findUnique(query)) ?? (await this.prisma.returnNote.findUnique(query));
    if (found === null) throw unknownInvoice(invoiceNo);
    return invoiceView(found);
  }

  private async once(
    request: InvoiceRequest,
    status: string,
    find: () => Promise<StoredInvoice | null>,
    create: (tx: OrdersTransaction) => Promise<void>,
  ): Promise<PlacedInvoice> {
    const existing = await find();
    if (existing !== null) return sameRequest(request, existing);
    try {
      await this.prisma.$transaction(create);
      return { created: true, invoice: { ...request, status, rejection: null } };
    } catch (error) {
      // Two equal requests at the same time: the one that lost reads what the other wrote.
      const winner = isUniqueViolation(error) ? await find() : null;
      if (winner === null) throw error;
      return sameRequest(request, winner);
    }
  }
}

function invoiceData(request: InvoiceRequest) {
  return {
    invoiceNo: request.invoiceNo,
    customerId: request.customerId,
    country: request.country,
    placedAt: request.placedAt === null ? null : new Date(request.placedAt),
    totalPence: BigInt(request.totalPence),
    requestHash: requestHash(request),
    lines: { createMany: { data: request.lines.map((line, index) => ({ ...line, lineNo: index + 1 })) } },
  };
}

/** The parser builds every request with its fields in one order, so equal requests have equal JSON. */
function requestHash(request: InvoiceRequest): string {
  return createHash('sha256').update(JSON.stringify(request)).digest('hex');
}

function sameRequest(request: InvoiceRequest, stored: StoredInvoice): PlacedInvoice {
  if (stored.requestHash === requestHash(request)) return { created: false, invoice: invoiceView(stored) };
  throw new ConflictException({
    statusCode: 409,
    code: 'INVOICE_EXISTS',
    message: `Invoice ${request.invoiceNo} exists with different contents. Use another invoice number.`,
  });
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
}

function unknownInvoice(invoiceNo: string): NotFoundException {
  return new NotFoundException({
    statusCode: 404,
    code: 'UNKNOWN_INVOICE',
    message: `There is no order and no return ${invoiceNo}. Check the number.`,
  });
}

function notOpen(invoiceNo: string, status: string): ConflictException {
  return new ConflictException({
    statusCode: 409,
    code: 'NOT_OPEN',
    message: `Order ${invoiceNo} is ${status} and does not await a transfer. Send the money back.`,
  });
}

function notConfirmed(invoiceNo: string, status: 'PLACED' | 'REJECTED'): ConflictException {
  const hint = status === 'PLACED' ? 'It has no outcome yet: try again.' : 'There is nothing to take back.';
  return new ConflictException({
    statusCode: 409,
    code: 'NOT_CONFIRMED',
    message: `Order ${invoiceNo} is ${status} and cannot be cancelled. ${hint}`,
  });
}
