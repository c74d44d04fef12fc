import { Body, Controller, Get, HttpCode, HttpStatus, Inject, Param, Post, Res } from '@nestjs/common';
import { parseInvoiceRequest, parseTransferRequest } from './order-request.js';
import type { InvoiceView } from './order-view.js';
import { OrdersService, type PlacedInvoice } from './orders.service.js';

/** The part of the HTTP response that sets 200 instead of Nest's 201. */
interface StatusSetter {
  status(code: number): unknown;
}

/** The HTTP interface of the shop. */
@Controller()
export class OrdersController {
  constructor(@Inject(OrdersService) private readonly orders: OrdersService) {}

  /** 201 with the order; 200 when the same request has placed it before; 400; 409. */
  @Post('orders')
  async place(
    @Body() body: unknown,
    @Res({ passthrough: true }) response: StatusSetter,
  ): Promise<InvoiceView> {
    return answer(await this.orders.placeOrder(parseInvoiceRequest(body, 'order')), response);
  }

  /** 201 with the return; 200 when the same request was made before; 400; 409. */
  @Post('returns')
  async takeBack(
    @Body() body: unknown,
    @Res({ passthrough: true }) response: StatusSetter,
  ): Promise<InvoiceView> {
    return answer(await this.orders.takeBack(parseInvoiceRequest(body, 'return')), response);
  }

  /** 200 with the order, CANCELLING until goods and money are back; 404; 409. */
  @Post('orders/:invoiceNo/cancel')
  @HttpCode(HttpStatus.OK)
  async cancel(@Param('invoiceNo') invoiceNo: string): Promise<InvoiceView> {
    return this.orders.cancel(invoiceNo);
  }

  /** The bank reports that a transfer has arrived. 200 with the order; 400; 404; 409. */
  @Post('orders/:invoiceNo/transfer')
  @HttpCode(HttpStatus.OK)
  async transferCame(@Param('invoiceNo') invoiceNo: string, @Body() body: unknown): Promise<InvoiceView> {
    return this.orders.transferCame(invoiceNo, parseTransferRequest(body));
  }

  /** 200 with the order or return; 404. */
  @Get('orders/:invoiceNo')
  async find(@Param('invoiceNo') invoiceNo: string): Promise<InvoiceView> {
    return this.orders.find(invoiceNo);
  }
}

function answer({ created, invoice }: PlacedInvoice, response: StatusSetter): InvoiceView {
  if (!created) response.status(HttpStatus.OK);
  return invoice;
}
