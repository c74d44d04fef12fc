import { ClientProxy, type ReadPacket, type WritePacket } from '@nestjs/microservices';
import {
  type Given,
  RequestFailedError,
  RequestTimedOutError,
  resolveOptions,
  TransactionRequiredError,
  wholeNumber,
} from '@waybill/kernel';
import { jsonCodec, type Message } from '@waybill/outbox';
import { ambientTransaction } from './ambient-transaction.js';
import { type Reply, ReplyListener } from './reply-listener.js';
import type { Waybill } from './waybill.js';
import { messageOf } from './waybill-record.js';

const SPECS = {
  /** How long an answer is waited for, in milliseconds. */
  timeoutMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
};

/** Options of a {@link WaybillClient}. */
export type WaybillClientOptions = Given<typeof SPECS>;

/**
 * Nest's client: `emit` publishes an event, and `send` asks and awaits the answer of a `@MessagePattern` handler of
 * another service. The pattern is the topic; data may be a {@link WaybillRecord} with key and headers.
 *
 * - `emit` joins the transaction of the handler, or of `waybill.transaction(…)`, that it is called in, and is to be
 *   awaited there: `await lastValueFrom(client.emit('orders.placed', order))`. Outside of both it is refused: publish with
 *   the transaction by `Outbox.publish`.
 * - `send` is committed at once, in a transaction of its own, because an answer to what is not committed never comes.
 */
export class WaybillClient extends ClientProxy {
  readonly #timeoutMs: number;
  readonly #replies: ReplyListener;

  /** @throws ConfigurationError */
  constructor(
    private readonly waybill: Waybill,
    options: WaybillClientOptions = {},
  ) {
    super();
    this.#timeoutMs = resolveOptions('client', SPECS, options).timeoutMs;
    this.#replies = waybill.listenForReplies(jsonCodec);
  }

  /** Starts the instance behind the client. */
  async connect(): Promise<void> {
    await this.waybill.start();
  }

  /** The instance is closed with the application. */
  close(): void {}

  /** The running instance behind the client. */
  unwrap<T = Waybill>(): T {
    return this.waybill as T;
  }

  protected async dispatchEvent<T = unknown>(packet: ReadPacket): Promise<T> {
    const tx = ambientTransaction(this.waybill.name);
    if (tx === undefined)
      throw new TransactionRequiredError(
        `client.emit(${String(packet.pattern)}) was called in no transaction`,
      );
    const { id } = await this.waybill.outbox.publish(tx, messageOf(this.#topicOf(packet), packet.data));
    return id as T;
  }

  protected publish(packet: ReadPacket, callback: (packet: WritePacket) => void): () => void {
    const { id, headers } = this.#replies.request();
    const topic = this.#topicOf(packet);
    const message = messageOf(topic, packet.data);
    const timer = setTimeout(() => {
      end();
      callback({ err: new RequestTimedOutError(topic, id, this.#timeoutMs) });
    }, this.#timeoutMs);
    const forget = this.#replies.listen(id, (reply) => {
      if (reply.status === 'ongoing') return;
      end();
      callback(packetOf(topic, id, reply));
    });
    const end = (): void => {
      clearTimeout(timer);
      forget();
    };
    void this.#ask({ ...message, headers: { ...message.headers, ...headers } }, (error) => {
      end();
      callback({ err: error });
    });
    return end;
  }

  async #ask(message: Message, failed: (error: unknown) => void): Promise<void> {
    try {
      await this.#replies.start();
      const { database, outbox } = this.waybill;
      await database.transaction((connection) => outbox.publish(connection, message));
    } catch (error) {
      failed(error);
    }
  }

  /** Patterns are topics; Nest has normalised them. */
  #topicOf(packet: ReadPacket): string {
    return this.normalizePattern(packet.pattern as string);
  }
}

function packetOf(topic: string, id: string, { status, payload, error }: Reply): WritePacket {
  if (status === 'done') return { response: payload, isDisposed: true };
  return { err: new RequestFailedError(topic, id, status, error ?? 'no reason given') };
}
