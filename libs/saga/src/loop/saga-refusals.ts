import type { Delivery } from '@waybill/consumer';
import { type LogFields, type Logger } from '@waybill/kernel';
import { cleanText } from '@waybill/kernel/internal';
import { SAGA_ID_HEADER, SAGA_STEP_HEADER } from '../message/saga-headers.js';
import { refuseSagaMessage } from '../statements.generated.js';

/** Longest text of a forger's that is kept, in characters. */
const KEPT_CHARS = 200;
/** Lines of the log are this far apart at least, in milliseconds: who floods the topic must not fill the log. */
const LINE_MS = 10_000;

/** Drops messages to a service's sagas that none of its own has sent, and keeps that they came: somebody forges. */
export class SagaRefusals {
  #count = 0;
  #told = { count: 0, atMs: -Infinity };

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
    const id = messageId === null ? null : short(messageId);
    await session.run(
      refuseSagaMessage,
      this.replyTopic,
      short(control[SAGA_ID_HEADER]),
      short(control[SAGA_STEP_HEADER]),
      short(why) ?? '',
      id,
      partition,
      offset,
    );
    this.#tell(short(why) ?? '', { messageId: id, topic, partition, offset });
  }

  #tell(why: string, fields: LogFields): void {
    const now = performance.now();
    if (now - this.#told.atMs < LINE_MS) return;
    const others = this.#count - this.#told.count - 1;
    this.#told = { count: this.#count, atMs: now };
    const more = others === 0 ? '' : `. ${others} others were dropped since the last such line`;
    this.logger.warn(
      `a message to the sagas was dropped, because ${why}: somebody may be forging answers${more}`,
      fields,
    );
  }
}
