import type { Outbox } from '@waybill/nestjs';
import type { DataSource } from 'typeorm';

export async function placeOrder(dataSource: DataSource, outbox: Outbox, id: string): Promise<void> {
  await dataSource.transaction(async (manager) => {
    await manager.query('insert into orders (id) values ($1)', [id]);
    await outbox.publish(manager, { topic: 'orders.placed', key: id, payload: { id } });
  });
}
