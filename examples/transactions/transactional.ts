import { Transactional, TransactionHost } from '@nestjs-cls/transactional';
import type { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { Injectable } from '@nestjs/common';
import { Outbox } from '@waybill/nestjs';

@Injectable()
export class Orders {
  constructor(
    private readonly host: TransactionHost<TransactionalAdapterTypeOrm>,
    private readonly outbox: Outbox,
  ) {}

  @Transactional()
  async place(id: string): Promise<void> {
    await this.host.tx.query('insert into orders (id) values ($1)', [id]);
    await this.outbox.publish({ topic: 'orders.placed', key: id, payload: { id } });
  }
}
