import type { Delivery } from '@waybill/consumer';
import { cleanText, type Logger } from '@waybill/kernel';
import { SAGA_ID_HEADER, SAGA_STEP_HEADER } from './saga-headers.js';
import { refuseSagaMessage } from './statements.generated.js';

/** Longest text of a forger's that is kept, in characters. */
const KEPT_CHARS = 200;

/** Drops messages to a service's sagas that none of its own has sent, and keeps that they came: somebody forges. */
export class SagaRefusals {
  #count = 0;

  constructor(
    private readonly replyTopic: string,
    private readonly logger: Logger,
  ) {}

  /** Messages refused by this process. */
  get count(): number {
    return this.#count;
  }

  /** Keeps a refusal, in the transaction of the delivery. */
  async keep(
    { session, control, messageId, topic, partition, offset }: Delivery,
    why: string,
  ): Promise<void> {
    this.#count += 1;
    const short = (text: string | undefined): string | null =>
      text === undefined ? null : cleanText(text, KEPT_CHARS);
    const sagaId = short(control[SAGA_ID_HEADER]);
    await session.run(
      refuseSagaMessage,
      this.replyTopic,
      sagaId,
      short(control[SAGA_STEP_HEADER]),
      short(why) ?? '',
      messageId === null ? null : short(messageId),
      partition,
      offset,
    );
    this.logger.warn(
      `a message to the sagas was dropped, because ${short(why)}: somebody may be forging answers`,
      {
        messageId,
        topic,
        partition,
        offset,
      },
    );
  }
}
