import type { Outbox } from '@waybill/nestjs';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import { pgTable, text } from 'drizzle-orm/pg-core';

const orders = pgTable('orders', { id: text().primaryKey() });

export async function placeOrder(db: NodePgDatabase, outbox: Outbox, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.insert(orders).values({ id });
    await outbox.publish(tx, { topic: 'orders.placed', key: id, payload: { id } });
  });
}
