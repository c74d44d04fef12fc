import type { IncomingResponse, ProducerDeserializer, WritePacket } from '@nestjs/microservices';
import { readRemoteError } from '@waybill/consumer/internal';
import { NotRunningError, RequestFailedError, RequestTimedOutError } from '@waybill/kernel';
import type { Reply, ReplyHearer } from '../requests/reply-listener.js';

/** What a {@link PendingRequest} works with. */
export interface PendingRequestDependencies {
  readonly topic: string;
  readonly id: string;
  readonly timeoutMs: number;
  readonly deserializer: ProducerDeserializer | undefined;
  /** Nest's observer: a value, an error, or the end. */
  readonly callback: (packet: WritePacket) => void;
  /** Called when the requester cancels, or the request times out. */
  readonly onGivenUp: () => void;
  /** Called once, when the request ends; with the error, if it failed. */
  readonly onEnd: (error?: unknown) => void;
}

/** A request of this process that awaits its reply. It emits every value, then completes or fails with one error. */
export class PendingRequest implements ReplyHearer {
  readonly #timer: NodeJS.Timeout;
  readonly #deadline: number;
  /** Replies are read one after the other, also when reading is asynchronous. */
  #read: Promise<void> = Promise.resolve();
  #values = 0;
  #isOpen = true;

  constructor(private readonly dependencies: PendingRequestDependencies) {
    const { topic, id, timeoutMs } = dependencies;
    this.#deadline = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => {
      this.fail(new RequestTimedOutError(topic, id, timeoutMs));
      dependencies.onGivenUp();
    }, timeoutMs);
  }

  /** False when it has its reply, has failed or was cancelled. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Time left to wait for the reply, in whole milliseconds, at least 1. */
  get remainingMs(): number {
    return Math.max(1, Math.ceil(this.#deadline - performance.now()));
  }

  onReply(reply: Reply): void {
    const { deserializer } = this.dependencies;
    if (deserializer === undefined) return this.#hand(reply, reply.payload);
    const read = async (): Promise<void> => {
      const isValue = reply.status === 'done' || reply.status === 'ongoing';
      if (!isValue || reply.values === 0) return this.#hand(reply, reply.payload);
      const packet: IncomingResponse = await deserializer.deserialize(reply.payload, {
        channel: this.dependencies.topic,
        headers: reply.headers,
      });
      if (packet.err) this.fail(packet.err);
      else this.#hand(reply, packet.response);
    };
    this.#read = this.#read.then(read).catch((error: unknown) => this.fail(error));
  }

  closed(): void {
    this.fail(
      new NotRunningError(
        `The instance that sent request ${this.dependencies.id} to ${this.dependencies.topic}`,
      ),
    );
  }

  fail(error: unknown): void {
    if (this.#end(error)) this.dependencies.callback({ err: error });
  }

  /** Stops waiting, without an event. */
  cancel(): void {
    if (this.#end()) this.dependencies.onGivenUp();
  }

  #hand(reply: Reply, value: unknown): void {
    if (!this.#isOpen) return;
    const { topic, id, callback } = this.dependencies;
    const { status, values, error } = reply;
    if (status === 'rejected' || status === 'failed') {
      const reason = error ?? 'no reason given';
      return this.fail(new RequestFailedError(topic, id, status, reason, readRemoteError(reply.payload)));
    }
    if (values !== 0) this.#values += 1;
    if (status === 'ongoing') return callback({ response: value });
    if (this.#values !== values)
      return this.fail(
        new RequestFailedError(
          topic,
          id,
          'failed',
          `${this.#values} of the ${values} values of its reply arrived`,
        ),
      );
    this.#end();
    callback(values === 0 ? { isDisposed: true } : { response: value, isDisposed: true });
  }

  #end(error?: unknown): boolean {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.dependencies.onEnd(error);
    return true;
  }
}
