import { describeError, type Logger } from '@waybill/kernel';
import type { HalfMessages } from '@waybill/half-message';
import type { ControlMessage, Outbox, TransactionHandle } from '@waybill/outbox';
import type { Replies, ReplyTransaction } from '@waybill/saga';

/**
 * Replies of participants whose database is not the log's, by half message. A reply is prepared when it is known, the
 * participant's transaction passes its barrier, and the reply is committed after that. If a crash leaves it open,
 * check-back resolves it by the barrier.
 */
export class HalfReplies implements Replies {
  constructor(
    private readonly halves: HalfMessages,
    private readonly outbox: Outbox,
    private readonly logger: Logger,
  ) {}

  /** Without a notification of the commit, check-back sends the reply. */
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
      this.logger.warn(
        `half message ${id} could not be committed; check-back will resolve it: ${describeError(error)}`,
      );
    }
  }
}
