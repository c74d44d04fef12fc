import {
  type Bell,
  DEFAULT_SCHEMA,
  flag,
  type Given,
  oneOf,
  resolveOptions,
  type SqlSession,
  wholeNumber,
} from '@waybill/kernel';
import type { Codec } from './codec.js';
import { insertIntoCurrentSlot } from './current-slot.js';
import { encodeMessage, type EncodedMessage, type Message, type MessageRules } from './message.js';
import { insertMessages, lockKeys } from './statements.generated.js';
import type { Topics } from '@waybill/log';
import { joinTransaction, type TransactionHandle } from './transaction-handle.js';

const SPECS = {
  /** Largest message, in bytes: payload, key and headers together. */
  maxMessageBytes: wholeNumber({ default: 1024 * 1024, min: 1, max: 64 * 1024 * 1024 }),
  /**
   * `insert`: messages of one key are in commit order when each is published behind the locks of the rows it is
   * about. `strict`: publishers of one key take turns by a lock of their own, at the price of a round trip.
   */
  order: oneOf(['insert', 'strict'], 'insert'),
  /** Keeps the INSERT prepared on pg clients. Set it to false behind a transaction pooler that does not support that. */
  preparedStatements: flag(true),
};

/** Options of an {@link Outbox}. */
export type OutboxOptions = Given<typeof SPECS> & {
  /** Waybill's schema in the database. Default `waybill`. */
  readonly schema?: string;
  /** Codecs by topic. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>>;
  /** Topics seen so far: those of the log in the same database. What it knows need not be looked up for each message. */
  readonly topics?: Pick<Topics, 'peek'>;
  /** Rung when a transaction that has published ends: the relay's bell. */
  readonly bell?: Bell;
  /** Headers of the trace under way (`traceparent`, `tracestate`), added to every message. */
  readonly traceHeaders?: () => Readonly<Record<string, string>>;
};

/** What came of publishing a message. */
export interface Published {
  /** The message's id. */
  readonly id: string;
}

/** Most messages in one statement; more are sent in several. */
const STATEMENT_MESSAGES = 500;

/**
 * Publishes messages in the caller's own database transaction: a message is published if and only if that
 * transaction commits. Publishing is one INSERT; nothing is sent until the relay finds the committed row.
 */
export class Outbox {
  readonly #schema: string;
  readonly #rules: MessageRules;
  readonly #strict: boolean;
  readonly #prepared: boolean;
  readonly #bell: Bell | undefined;
  readonly #topics: Pick<Topics, 'peek'> | undefined;

  constructor(options: OutboxOptions = {}) {
    const { schema, codecs, bell, topics, traceHeaders, ...rest } = options;
    const resolved = resolveOptions('outbox', SPECS, rest);
    this.#schema = schema ?? DEFAULT_SCHEMA;
    this.#strict = resolved.order === 'strict';
    this.#prepared = resolved.preparedStatements;
    this.#bell = bell;
    this.#topics = topics;
    this.#rules = {
      maxMessageBytes: resolved.maxMessageBytes,
      codecs: codecs ?? {},
      traceHeaders: traceHeaders ?? (() => ({})),
    };
  }

  /**
   * Publishes one message in the transaction `tx`.
   *
   * @throws TransactionRequiredError unless `tx` is an open transaction
   * @throws TopicUnknownError, TopicNameInvalidError, MessageInvalidError, MessageTooLargeError,
   *   PayloadNotSerializableError
   */
  async publish<T>(tx: TransactionHandle, message: Message<T>): Promise<Published> {
    const { session, onEnd } = joinTransaction(tx, this.#schema, this.#prepared);
    const encoded = encodeMessage(message, this.#rules);
    if (this.#strict) await this.#lock(session, [encoded]);
    const { id, topic, partition, key, headers, payload } = encoded;
    const partitions = this.#topics?.peek(topic)?.partitionIds.length ?? 0;
    const insert = insertIntoCurrentSlot(Date.now(), (partition ?? 0) < partitions);
    await session.run(insert, id, topic, partition, key, headers && JSON.stringify(headers), payload);
    this.#announce(onEnd);
    return { id };
  }

  /** Publishes several messages in the transaction `tx`, in this order: all of them, or none. Errors as {@link publish}. */
  async publishMany(tx: TransactionHandle, messages: readonly Message[]): Promise<Published[]> {
    const { session, onEnd } = joinTransaction(tx, this.#schema, this.#prepared);
    const encoded = messages.map((message) => encodeMessage(message, this.#rules));
    if (this.#strict) await this.#lock(session, encoded);
    for (let from = 0; from < encoded.length; from += STATEMENT_MESSAGES) {
      const rows = encoded
        .slice(from, from + STATEMENT_MESSAGES)
        .map((message) => ({ ...message, payload: message.payload.toString('base64') }));
      await session.run(insertMessages, JSON.stringify(rows));
    }
    if (encoded.length > 0) this.#announce(onEnd);
    return encoded.map(({ id }) => ({ id }));
  }

  async #lock(session: SqlSession, messages: readonly EncodedMessage[]): Promise<void> {
    const keys = messages.flatMap(({ topic, key }) => (key === null ? [] : [`${topic}/${key}`]));
    if (keys.length > 0) await session.run(lockKeys, JSON.stringify(keys));
  }

  /** Wakes the relay when the transaction ends; where that cannot be seen, now: it then looks more often for a while. */
  #announce(onEnd: ((callback: () => void) => void) | undefined): void {
    const bell = this.#bell;
    if (bell === undefined) return;
    if (onEnd === undefined) bell.ring();
    else onEnd(() => bell.ring());
  }
}
