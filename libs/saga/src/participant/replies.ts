import type { SqlSession } from '@waybill/kernel';
import type { ControlMessage, Outbox, TransactionHandle } from '@waybill/outbox';

/** The transaction in which an answer is given. */
export interface ReplyTransaction {
  readonly session: SqlSession;
  /** The transaction as its caller has it; absent where it is Waybill's own. */
  readonly handle?: TransactionHandle;
  /** Has something done as soon as it is committed; absent where nobody can tell. */
  readonly afterCommit?: (work: () => Promise<unknown>) => void;
  /** Whose data was asked about: the answer is encrypted as the question was. */
  readonly subject?: string | null;
}

/** How the answers of a participant leave its database: if and only if its transaction commits. */
export interface Replies {
  /**
   * The caller's open transaction; without `tx`, the one that the caller runs in.
   * @throws TransactionRequiredError
   */
  join(tx: TransactionHandle | undefined): ReplyTransaction;
  /** @param messages leave in this order, all of them or none */
  send(transaction: ReplyTransaction, messages: readonly ControlMessage[]): Promise<void>;
}

/** By the outbox, where the participant's database is the log's. */
export class OutboxReplies implements Replies {
  constructor(private readonly outbox: Outbox) {}

  join(tx: TransactionHandle | undefined): ReplyTransaction {
    return this.outbox.join(tx, 'participant.answer');
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
