import type { Delivery } from '@waybill/consumer';
import { type LogFields, type Logger } from '@waybill/kernel';
import { cleanText } from '@waybill/kernel/internal';
import { SAGA_ID_HEADER, SAGA_STEP_HEADER } from '../message/saga-headers.js';
import { refuseSagaMessage } from '../statements.generated.js';

/** Longest stored text of a refused message, in characters. */
const KEPT_CHARS = 200;
/** Minimum time between log lines, in milliseconds: a flood of messages must not fill the log. */
const LINE_MS = 10_000;

/** Drops messages to a service's sagas that no participant sent, and records them: someone may be forging. */
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

  /** Records a refusal, in the transaction of the delivery. */
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
    const more = others === 0 ? '' : `. ${others} more were dropped since the last such line`;
    this.logger.warn(
      `dropped an unrecognised saga message, because ${why}: someone may be forging replies${more}`,
      fields,
    );
  }
}
