import type { SqlSession } from '@waybill/kernel';
import type { ControlMessage, Outbox, TransactionHandle } from '@waybill/outbox';

/** The transaction in which a reply is sent. */
export interface ReplyTransaction {
  readonly session: SqlSession;
  /** The caller's transaction handle; absent in Waybill's own transactions. */
  readonly handle?: TransactionHandle;
  /** Registers a callback for after the commit; absent when the commit cannot be observed. */
  readonly afterCommit?: (work: () => Promise<unknown>) => void;
  /** The subject of the request's data: the reply is encrypted like the request. */
  readonly subject?: string | null;
}

/** Sends the replies of a participant if and only if its transaction commits. */
export interface Replies {
  /**
   * The caller's open transaction; without `tx`, the one that the caller runs in.
   * @throws TransactionRequiredError
   */
  join(tx: TransactionHandle | undefined): ReplyTransaction;
  /** @param messages sent in this order, all of them or none */
  send(transaction: ReplyTransaction, messages: readonly ControlMessage[]): Promise<void>;
}

/** Sends replies through the outbox, when the participant's database is the log's. */
export class OutboxReplies implements Replies {
  constructor(private readonly outbox: Outbox) {}

  join(tx: TransactionHandle | undefined): ReplyTransaction {
    return this.outbox.join(tx, 'participant.reply');
  }

  async send(
    { session, handle = session, subject = null }: ReplyTransaction,
    messages: readonly ControlMessage[],
  ): Promise<void> {
    await this.outbox.publishEncoded(
      handle,
      messages.map((message) => this.outbox.encodeControl({ subject, ...message })),
    );
  }
}
