import type { Outbox } from '@waybill/nestjs';
import type { ShopMessages } from '../contracts/shop-messages.js';
import { messageKey, type ShopTopic } from '../contracts/topics.js';
import type { PublishingTransaction } from './witness.js';

/** Publishes the events of one service, with their witness, in the transaction to which they belong. */
export class Messenger {
  constructor(private readonly outbox: Outbox) {}

  /** Publishes `payload` if and only if `tx` commits. */
  async publish<T extends ShopTopic>(
    tx: PublishingTransaction,
    topic: T,
    payload: ShopMessages[T],
  ): Promise<void> {
    const key = messageKey(payload.invoiceNo, payload.customerId);
    const { id } = await this.outbox.publish(tx, { topic, key, payload });
    await tx.publishedMessage.create({ data: { messageId: id, topic, key } });
  }
}
