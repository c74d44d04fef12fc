import { Injectable, Module } from '@nestjs/common';
import { Saga, saga, Sagas, WaybillModule } from '@waybill/nestjs';
import { Pool } from 'pg';
import { chargeCard, type Order, releaseStock, reserveStock } from './contracts.js';
import { connectionString } from './database.js';

@Saga()
export class PlaceOrder {
  readonly definition = saga<Order>('orders.place')
    .step('reserve', {
      invoke: reserveStock,
      with: ({ orderId, sku, pieces }) => ({ orderId, sku, pieces }),
      then: ({ shelf }) => ({ shelf }), // from here on the data have a shelf
      undo: { invoke: releaseStock, with: ({ orderId }) => ({ orderId }) },
    })
    .step('charge', {
      invoke: chargeCard,
      with: ({ orderId, pence }) => ({ orderId, pence }),
      pivot: true, // once the money is there, there is no way back
    })
    .local('confirm', {
      run: async ({ orderId, shelf }, { transaction }) => {
        // Commits together with the step.
        await transaction.query(`update orders set state = 'confirmed', shelf = $2 where id = $1`, [
          orderId,
          shelf,
        ]);
      },
    })
    .onEnd(async ({ key, state, reason }, tx) => {
      if (state === 'COMPLETED') return;
      await tx.query(`update orders set state = 'rejected', reason = $2 where id = $1`, [key, reason]);
    })
    .build();
}

@Injectable()
export class Orders {
  constructor(
    private readonly database: Pool,
    private readonly sagas: Sagas,
    private readonly placeOrder: PlaceOrder,
  ) {}

  async place(order: Order): Promise<string> {
    const tx = await this.database.connect();
    try {
      await tx.query('begin');
      await tx.query(`insert into orders (id, state) values ($1, 'placed')`, [order.orderId]);
      const { id } = await this.sagas.start(tx, this.placeOrder.definition, {
        key: order.orderId,
        data: order,
      });
      await tx.query('commit'); // the order and its saga, or neither
      return id;
    } finally {
      tx.release(tx.getTransactionStatus() !== 'I');
    }
  }
}

@Module({
  imports: [WaybillModule.forRoot({ database: { connectionString }, group: 'orders' })],
  providers: [{ provide: Pool, useFactory: () => new Pool({ connectionString }) }, PlaceOrder, Orders],
})
export class OrdersModule {}
