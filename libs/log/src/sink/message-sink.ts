import type { BoundStatement } from '@waybill/kernel';
import type { MessageToCollect } from '../append/batch-collector.js';

/**
 * Where the messages go that a service sends without a caller, in the transaction that decides about them: due timers,
 * committed half messages, edited dead letters. Into the log where it is in the same database, otherwise into the outbox.
 */
export interface MessageSink {
  /** Reads the topics when that is due. To be called before the transaction, and so {@link collect} runs no query. */
  ready(): Promise<void>;

  /**
   * Collects the messages that `fill` adds.
   * @returns the statements that send them, to be run last in the transaction
   * @throws TopicUnknownError, MessageInvalidError when a message names a topic or a partition that does not exist,
   *   unless `fill` catches the error of `add`: then the message is left out
   */
  collect(fill: (add: (message: MessageToCollect) => void) => Promise<void>): Promise<BoundStatement[]>;

  /** To be called once the transaction with such statements is committed. */
  sent(): void;
}
