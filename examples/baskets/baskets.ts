import { Body, Controller, HttpCode, Injectable, Module, Post } from '@nestjs/common';
import { Sagas, WaybillModule } from '@waybill/nestjs';
import { Pool, type PoolClient } from 'pg';
import type { Basket } from './contracts.js';
import { connectionString } from './database.js';
import { PlaceBasket } from './place-basket.js';

/** A notification of the payment provider: check its signature before you trust it. */
interface PaymentEvent {
  readonly id: string;
  readonly orderId: string;
  readonly paymentId: string;
}

@Injectable()
export class Baskets {
  constructor(
    private readonly database: Pool,
    private readonly sagas: Sagas,
    private readonly placeBasket: PlaceBasket,
  ) {}

  place(basket: Basket): Promise<void> {
    return this.#transaction(async (tx) => {
      await tx.query(`insert into orders (id, state) values ($1, 'placed')`, [basket.orderId]);
      await this.sagas.start(tx, this.placeBasket.definition, { key: basket.orderId, data: basket });
    });
  }

  /** The customer has changed her mind. Once the parcel has left, this does nothing. */
  cancel(orderId: string): Promise<void> {
    return this.#transaction(async (tx) => {
      await this.sagas.cancel(tx, this.#sagaOf(orderId), 'the customer cancelled the order');
    });
  }

  paid({ id, orderId, paymentId }: PaymentEvent): Promise<void> {
    return this.#transaction(async (tx) => {
      const { rows } = await tx.query<{ state: string }>(
        `update payment set payment_id = $2, state = case state when 'closed' then 'refund due' else 'paid' end
          where order_id = $1 and payment_id is null returning state`,
        [orderId, paymentId],
      );
      if (rows[0]?.state === 'paid')
        await this.sagas.signal(tx, this.#sagaOf(orderId), 'paid', { paymentId }, { id });
    });
  }

  #sagaOf(orderId: string) {
    return { saga: this.placeBasket.definition, key: orderId };
  }

  async #transaction(work: (tx: PoolClient) => Promise<void>): Promise<void> {
    const tx = await this.database.connect();
    try {
      await tx.query('begin');
      await work(tx);
      await tx.query('commit');
    } finally {
      tx.release(tx.getTransactionStatus() !== 'I');
    }
  }
}

@Controller('webhooks/payments')
export class PaymentWebhooks {
  constructor(private readonly baskets: Baskets) {}

  @Post()
  @HttpCode(204)
  paid(@Body() event: PaymentEvent): Promise<void> {
    return this.baskets.paid(event);
  }
}

@Module({
  imports: [WaybillModule.forRoot({ database: { connectionString }, group: 'baskets' })],
  providers: [{ provide: Pool, useFactory: () => new Pool({ connectionString }) }, PlaceBasket, Baskets],
  controllers: [PaymentWebhooks],
})
export class BasketsModule {}
