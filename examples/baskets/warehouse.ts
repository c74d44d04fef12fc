import { Module } from '@nestjs/common';
import { Ctx, Payload } from '@nestjs/microservices';
import {
  SagaCommand,
  SagaParticipant,
  SagaRejectedError,
  WaybillContext,
  WaybillModule,
} from '@waybill/nestjs';
import { type Line, releaseLine, reserveLine, shipOrder } from './contracts.js';
import { connectionString } from './database.js';

@SagaParticipant()
export class Warehouse {
  @SagaCommand(reserveLine)
  async reserve(
    @Payload() { orderId, sku, pieces }: { orderId: string } & Line,
    @Ctx() { transaction }: WaybillContext,
  ): Promise<{ shelf: string }> {
    const { rows } = await transaction.query<{ shelf: string }>(
      'update stock set pieces = pieces - $2 where sku = $1 and pieces >= $2 returning shelf',
      [sku, pieces],
    );
    const [found] = rows;
    if (found === undefined) throw new SagaRejectedError(`there are no ${pieces} pieces of ${sku}`);
    await transaction.query('insert into reservation (order_id, sku, pieces) values ($1, $2, $3)', [
      orderId,
      sku,
      pieces,
    ]);
    return found;
  }

  @SagaCommand(releaseLine)
  async release(
    @Payload() { orderId, sku }: { orderId: string; sku: string },
    @Ctx() { transaction }: WaybillContext,
  ): Promise<void> {
    await transaction.query(
      `with gone as (delete from reservation where order_id = $1 and sku = $2 returning sku, pieces)
       update stock set pieces = stock.pieces + gone.pieces from gone where stock.sku = gone.sku`,
      [orderId, sku],
    );
  }

  @SagaCommand(shipOrder)
  async ship(
    @Payload() { orderId }: { orderId: string },
    @Ctx() { transaction }: WaybillContext,
  ): Promise<{ parcel: string }> {
    await transaction.query('delete from reservation where order_id = $1', [orderId]);
    await transaction.query('insert into parcel (id) values ($1)', [`parcel of ${orderId}`]);
    return { parcel: `parcel of ${orderId}` };
  }
}

@Module({
  imports: [WaybillModule.forRoot({ database: { connectionString }, group: 'warehouse' })],
  controllers: [Warehouse],
})
export class WarehouseModule {}
