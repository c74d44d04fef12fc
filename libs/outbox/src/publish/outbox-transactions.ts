import {
  type BoundStatement,
  ConfigurationError,
  type Given,
  resolveOptions,
  TransactionRequiredError,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import type { TimerTarget } from '@waybill/timer';
import type { Message } from '../message.js';
import type { EncodedMessage } from './encode-message.js';
import type { Outbox, Published } from './outbox.js';
import { cancelStatement, rescheduleStatement, type TimerDelay } from './timer-changes.js';

const SPECS = {
  /** Time limit for the work of a transaction, in milliseconds; then it is rolled back. */
  timeoutMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
};

/** Options of {@link OutboxTransactions}. */
export type OutboxTransactionsOptions = Given<typeof SPECS>;

/** Publishes in one business transaction; its messages are sent with that transaction's COMMIT. */
export interface TransactionOutbox {
  /**
   * Checks and encodes a message immediately; the payload may be changed afterwards. Rolling back to a savepoint does
   * not withdraw the message: only rolling back the whole transaction does.
   *
   * @throws TransactionRequiredError when the transaction's work has ended
   * @throws TopicNameInvalidError, MessageInvalidError, MessageTooLargeError, PayloadNotSerializableError
   */
  publish<T>(message: Message<T>): Published;
  /** Publishes several messages in this order: all of them, or none. Errors like {@link publish}. */
  publishMany(messages: readonly Message[]): Published[];
  /** Cancels messages that were scheduled, also earlier in this transaction; see `Outbox.cancelTimer`. */
  cancelTimer(target: TimerTarget): void;
  /** Moves scheduled messages to another time; see `Outbox.rescheduleTimer`. */
  rescheduleTimer(target: TimerTarget, time: TimerDelay): void;
}

/**
 * Runs business transactions and sends their messages together with COMMIT, so that publishing costs no extra round
 * trip if the driver supports that (pg; Prisma sends them one by one). The messages are written after every lock that
 * the transaction takes, in the order in which they were published; until then they are kept in memory.
 */
export class OutboxTransactions<Handle = unknown> {
  readonly #timeoutMs: number;

  /** @throws ConfigurationError */
  constructor(
    private readonly outbox: Outbox,
    private readonly runner: TransactionRunner<Handle>,
    options: OutboxTransactionsOptions = {},
  ) {
    this.#timeoutMs = resolveOptions('outbox transactions', SPECS, options).timeoutMs;
    const { schema } = runner.session;
    if (schema !== outbox.schema) {
      throw new ConfigurationError('The outbox and the transactions do not match', [
        `the outbox is in schema ${outbox.schema}, the transactions in ${schema}`,
      ]);
    }
  }

  /**
   * Runs `work` in a READ COMMITTED transaction: commits when it resolves, with the messages it published, and rolls
   * back when it rejects. It gets the open transaction in the driver's own type, and leaves BEGIN, COMMIT and ROLLBACK
   * to Waybill.
   *
   * @returns what `work` resolves to
   * @throws whatever `work` throws
   * @throws TopicUnknownError, MessageInvalidError for a topic or partition that does not exist; all is rolled back
   * @throws HandlerAbandonedError when `work` has not ended within `timeoutMs`
   */
  async run<T>(work: (tx: Handle, outbox: TransactionOutbox) => Promise<T>): Promise<T> {
    const messages = new TransactionMessages(this.outbox);
    try {
      const result = await this.runner.run({
        work: async ({ handle }) => work(handle, messages),
        last: () => {
          messages.close();
          return messages.statements();
        },
        timeoutMs: this.#timeoutMs,
      });
      if (!messages.isEmpty) this.outbox.bell?.ring();
      return result;
    } finally {
      messages.close();
    }
  }
}

/** The messages of one transaction. */
class TransactionMessages implements TransactionOutbox {
  /** Messages and timer changes, in the order of the calls. */
  readonly #taken: (EncodedMessage | BoundStatement)[] = [];
  #open = true;

  constructor(private readonly outbox: Outbox) {}

  get isEmpty(): boolean {
    return this.#taken.length === 0;
  }

  /** The statements for all calls, in order; consecutive messages share one. */
  statements(): BoundStatement[] {
    const statements: BoundStatement[] = [];
    let messages: EncodedMessage[] = [];
    for (const taken of this.#taken) {
      if (!('statement' in taken)) messages.push(taken);
      else {
        statements.push(...this.outbox.statementsOf(messages), taken);
        messages = [];
      }
    }
    return [...statements, ...this.outbox.statementsOf(messages)];
  }

  publish<T>(message: Message<T>): Published {
    const encoded = this.#encode(message);
    this.#taken.push(encoded);
    return { id: encoded.id };
  }

  publishMany(messages: readonly Message[]): Published[] {
    const encoded = messages.map((message) => this.#encode(message));
    for (const message of encoded) this.#taken.push(message);
    return encoded.map(({ id }) => ({ id }));
  }

  cancelTimer(target: TimerTarget): void {
    this.#assertOpen();
    this.#taken.push(cancelStatement(target));
  }

  rescheduleTimer(target: TimerTarget, time: TimerDelay): void {
    this.#assertOpen();
    this.#taken.push(rescheduleStatement(target, time));
  }

  /** Accepts no more messages. Later ones would be lost. */
  close(): void {
    this.#open = false;
  }

  #encode(message: Message): EncodedMessage {
    this.#assertOpen();
    return this.outbox.encode(message);
  }

  #assertOpen(): void {
    if (!this.#open)
      throw new TransactionRequiredError(
        'A message was published after the work of its transaction had ended',
      );
  }
}
