import type { Outbox } from '@waybill/nestjs';
import type { Kysely } from 'kysely';

type Database = { orders: { id: string } };

export async function placeOrder(db: Kysely<Database>, outbox: Outbox, id: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx.insertInto('orders').values({ id }).execute();
    await outbox.publish(trx, { topic: 'orders.placed', key: id, payload: { id } });
  });
}
