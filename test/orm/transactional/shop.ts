import { Propagation, Transactional, TransactionHost } from '@nestjs-cls/transactional';
import type { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { Controller, Inject, Injectable } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { type Message, Outbox, WaybillClient, WaybillContext } from '@waybill/nestjs';
import { lastValueFrom } from 'rxjs';

/** Runs SQL in a transaction of the ORM under test. */
export type ValueOf = (tx: unknown, text: string) => Promise<unknown>;
/** Token of a {@link ValueOf}. */
export const VALUE_OF = Symbol('value-of');

/** A message about a number. */
export const message = (n: number): Message<{ n: number }> => ({ topic: 'done', key: 'k', payload: { n } });
/** Writes a business row. */
export const insert = (n: number): string => `insert into effect (n) values (${n}) returning n`;

/** A service that is given no transaction handle. */
@Injectable()
export class Orders {
  constructor(
    @Inject(TransactionHost) readonly host: TransactionHost<TransactionalAdapterTypeOrm>,
    @Inject(Outbox) readonly outbox: Outbox,
    @Inject(WaybillClient) readonly client: WaybillClient,
    @Inject(VALUE_OF) readonly value: ValueOf,
  ) {}

  @Transactional()
  async place(n: number, then?: () => unknown): Promise<void> {
    await this.value(this.host.tx, insert(n));
    await this.outbox.publish(message(n));
    await then?.();
  }

  @Transactional(Propagation.Nested)
  async attempt(n: number): Promise<void> {
    await this.place(n);
    throw new Error('failed on purpose');
  }

  @Transactional(Propagation.RequiresNew)
  async audit(n: number): Promise<void> {
    await this.place(n);
  }

  @Transactional()
  async everything(n: number): Promise<void> {
    await this.outbox.publishMany([message(n), message(n + 1)]);
    await this.outbox.publish({ ...message(n + 2), delayMs: 3_600_000, timerToken: 'token' });
    await this.outbox.rescheduleTimer({ token: 'token' }, { delayMs: 7_200_000 });
    await this.outbox.cancelTimer({ token: 'token' });
    await lastValueFrom(this.client.emit('done', { n: n + 3 }));
  }

  @Transactional()
  transactionId(): Promise<unknown> {
    return this.value(this.host.tx, 'select pg_current_xact_id()::text as id');
  }
}

/** What the handler does, set by the test. */
export type Handling = (context: WaybillContext) => Promise<void>;

/** A handler that does what the test set. */
@Controller()
export class Shop {
  handling: Handling = () => Promise.resolve();

  @EventPattern<string>('orders')
  async onOrder(@Payload() _: unknown, @Ctx() context: WaybillContext): Promise<void> {
    await this.handling(context);
  }
}
