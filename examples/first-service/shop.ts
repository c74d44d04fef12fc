import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { Outbox, WaybillContext } from '@waybill/nestjs';
import { Pool } from 'pg';

type Order = { id: string; sku: string; pieces: number };

@Controller()
export class Shop {
  constructor(
    private readonly database: Pool,
    private readonly outbox: Outbox,
  ) {}

  async placeOrder(order: Order): Promise<void> {
    const tx = await this.database.connect();
    try {
      await tx.query('begin');
      await tx.query('insert into orders (id, sku, pieces) values ($1, $2, $3)', [
        order.id,
        order.sku,
        order.pieces,
      ]);
      await this.outbox.publish(tx, { topic: 'orders.placed', key: order.id, payload: order });
      await tx.query('commit'); // the order and its message, or neither
    } finally {
      tx.release(tx.getTransactionStatus() !== 'I'); // closes the connection if a transaction is still open
    }
  }

  @EventPattern<string>('orders.placed')
  async reserve(@Payload() order: Order, @Ctx() context: WaybillContext): Promise<void> {
    // once for each order, whatever crashes: this write commits together with the delivery
    await context.transaction.query('update stock set pieces = pieces - $1 where sku = $2', [
      order.pieces,
      order.sku,
    ]);
  }
}
