import { describeError, type Logger } from '@waybill/kernel';
import type { HalfMessages } from '@waybill/half-message';
import type { ControlMessage, Outbox, TransactionHandle } from '@waybill/outbox';
import type { Replies, ReplyTransaction } from '@waybill/saga';

/**
 * Answers of participants whose database is not the log's: by half message. It is prepared when the answer is known, the
 * participant's transaction passes its barrier, and it is committed behind that. What a crash leaves open is asked about,
 * by the barrier.
 */
export class HalfReplies implements Replies {
  constructor(
    private readonly halves: HalfMessages,
    private readonly outbox: Outbox,
    private readonly logger: Logger,
  ) {}

  /** Where nobody tells of the commit, the answer is sent by check-back. */
  join(tx: TransactionHandle | undefined): ReplyTransaction {
    const joined = this.outbox.join(tx, 'participant.reply');
    const { session } = joined;
    if (session.atCommit === undefined) return joined;
    return { ...joined, afterCommit: (work) => session.atCommit?.(() => void work()) };
  }

  async send(
    { session, afterCommit, subject = null }: ReplyTransaction,
    messages: readonly ControlMessage[],
  ): Promise<void> {
    const half = await this.halves.prepareControl(
      messages.map((message) => ({ subject, ...message })),
      { barrier: 'default' },
    );
    await this.halves.pass(session, half, 'default');
    afterCommit?.(() => this.#commit(half.id));
  }

  async #commit(id: string): Promise<void> {
    try {
      await this.halves.commit(id);
    } catch (error) {
      this.logger.warn(`half message ${id} is left to check-back: ${describeError(error)}`);
    }
  }
}
