import type { EntityManager } from '@mikro-orm/postgresql';
import type { Outbox } from '@waybill/nestjs';

export async function placeOrder(em: EntityManager, outbox: Outbox, id: string): Promise<void> {
  await em.transactional(async (tx) => {
    tx.persist(tx.create('Order', { id }));
    await tx.flush(); // writes the row now, so that the message comes after its lock
    await outbox.publish(tx, { topic: 'orders.placed', key: id, payload: { id } });
  });
}
