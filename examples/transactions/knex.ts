import type { Outbox } from '@waybill/nestjs';
import type { Knex } from 'knex';

export async function placeOrder(knex: Knex, outbox: Outbox, id: string): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx('orders').insert({ id });
    await outbox.publish(trx, { topic: 'orders.placed', key: id, payload: { id } });
  });
}
