import { Module } from '@nestjs/common';
import { Ctx, Payload } from '@nestjs/microservices';
import {
  SagaCommand,
  SagaParticipant,
  SagaRejectedError,
  WaybillContext,
  WaybillModule,
} from '@waybill/nestjs';
import { chargeCard, releaseStock, reserveStock } from './contracts.js';
import { connectionString } from './database.js';

@SagaParticipant()
export class Stock {
  @SagaCommand(reserveStock)
  async reserve(
    @Payload() command: { orderId: string; sku: string; pieces: number },
    @Ctx() { transaction }: WaybillContext,
  ): Promise<{ shelf: string }> {
    const { orderId, sku, pieces } = command;
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

  @SagaCommand(releaseStock)
  async release(
    @Payload() { orderId }: { orderId: string },
    @Ctx() { transaction }: WaybillContext,
  ): Promise<void> {
    await transaction.query(
      `with gone as (delete from reservation where order_id = $1 returning sku, pieces)
       update stock set pieces = stock.pieces + gone.pieces from gone where stock.sku = gone.sku`,
      [orderId],
    );
  }
}

@SagaParticipant()
export class Payments {
  @SagaCommand(chargeCard)
  async charge(
    @Payload() { orderId, pence }: { orderId: string; pence: number },
    @Ctx() { transaction }: WaybillContext,
  ): Promise<void> {
    if (pence > 10_000) throw new SagaRejectedError(`the card has no ${pence} pence`);
    await transaction.query('insert into charge (order_id, pence) values ($1, $2)', [orderId, pence]);
  }
}

@Module({
  imports: [WaybillModule.forRoot({ database: { connectionString }, group: 'stock-and-payments' })],
  controllers: [Stock, Payments],
})
export class StockAndPaymentsModule {}
