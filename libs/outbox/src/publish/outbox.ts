import {
  type Bell,
  bindStatement,
  type BoundStatement,
  DEFAULT_SCHEMA,
  type Given,
  oneOf,
  type PgDatabase,
  resolveOptions,
  type SqlSession,
  wholeNumber,
} from '@waybill/kernel';
import { flag, runAhead } from '@waybill/kernel/internal';
import type { Codec } from '../codec.js';
import { assertCloudEventOptions, type CloudEventOptions } from '../contract/cloud-event.js';
import { PayloadContracts } from '../contract/payload-contracts.js';
import type { TopicSchemas } from '../contract/topic-schema.js';
import { insertControlIntoCurrentSlot, insertIntoCurrentSlot } from './current-slot.js';
import type { ControlMessage, Message } from '../message.js';
import {
  encodeMessage,
  type EncodedMessage,
  type EncodeOptions,
  type MessageRules,
  type TraceHeaders,
} from './encode-message.js';
import {
  insertControlMessages,
  insertMessages,
  insertScheduledMessages,
  lockKeys,
} from '../statements.generated.js';
import type { Sealer } from '@waybill/log';
import type { TimerTarget } from '@waybill/timer';
import type { MessageSignatures } from './message-signatures.js';
import { cancelStatement, rescheduleStatement, type TimerDelay } from './timer-changes.js';
import { joinTransaction, type TransactionHandle } from '../transactions/join-transaction.js';
import { type JoinedTransaction, noTransaction } from '../transactions/joined-transaction.js';

const SPECS = {
  /** Maximum message size, in bytes: payload, key and headers together. */
  maxMessageBytes: wholeNumber({ default: 1024 * 1024, min: 1, max: 64 * 1024 * 1024 }),
  /**
   * `insert`: messages of one key are in commit order if each is published after locking the rows that it is
   * about. `strict`: publishers of one key take turns with a separate lock, at the cost of a round trip.
   */
  order: oneOf(['insert', 'strict'], 'insert'),
  /** Keeps the INSERT prepared on pg clients. Set it to false with a transaction pooler that does not support that. */
  preparedStatements: flag(true),
};

/** Options of an {@link Outbox}. */
export type OutboxOptions = Given<typeof SPECS> & {
  /** Waybill's schema in the database. Default `waybill`. */
  readonly schema?: string;
  /** Codecs by topic. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>>;
  /** Schemas by topic: a payload that does not match is refused before anything is written. */
  readonly schemas?: TopicSchemas | PayloadContracts;
  /** Publishes every message as a CloudEvent. Default: none. */
  readonly cloudEvents?: CloudEventOptions;
  /** Rung when a transaction that has published ends: the relay's bell. */
  readonly bell?: Bell;
  /** The open transaction that the caller runs in, for calls without one; undefined when there is none. */
  readonly ambient?: () => unknown;
  /** Headers of the current trace (`traceparent`, `tracestate`), added to every message. */
  readonly traceHeaders?: TraceHeaders;
  /** Signs messages. Default: they are not signed. */
  readonly signatures?: MessageSignatures;
  /** Encrypts messages. Default: they are not encrypted. */
  readonly sealer?: Sealer;
};

/** The result of publishing a message. */
export interface Published {
  /** The message's id. */
  readonly id: string;
}

/** The most messages in one statement; more are sent in several. */
const STATEMENT_MESSAGES = 500;

/**
 * Publishes messages in the caller's own database transaction: a message is published if and only if that
 * transaction commits. Publishing is one INSERT; nothing is sent until the relay finds the committed row.
 */
export class Outbox {
  /** Waybill's schema in the database. */
  readonly schema: string;
  /** Rung when a transaction that has published ends. */
  readonly bell: Bell | undefined;
  readonly #rules: MessageRules;
  readonly #strict: boolean;
  readonly #prepared: boolean;
  readonly #ambient: () => unknown;
  readonly #ring = (): void => this.bell?.ring();

  constructor(options: OutboxOptions = {}) {
    const { schema, codecs, schemas, cloudEvents, bell, ambient, traceHeaders, ...others } = options;
    const { signatures, sealer, ...rest } = others;
    const resolved = resolveOptions('outbox', SPECS, rest);
    this.schema = schema ?? DEFAULT_SCHEMA;
    this.#strict = resolved.order === 'strict';
    this.#prepared = resolved.preparedStatements;
    this.bell = bell;
    this.#ambient = ambient ?? (() => undefined);
    if (cloudEvents !== undefined) assertCloudEventOptions(cloudEvents);
    this.#rules = {
      maxMessageBytes: resolved.maxMessageBytes,
      codecs: codecs ?? {},
      contracts: schemas instanceof PayloadContracts ? schemas : new PayloadContracts(schemas),
      cloudEvents,
      traceHeaders: traceHeaders ?? (() => ({})),
      signatures,
      sealer,
    };
  }

  /**
   * Publishes one message in the transaction `tx`; without it, in the one that the caller runs in, from
   * `options.ambient`.
   *
   * @throws TransactionRequiredError unless that is an open transaction
   * @throws TopicUnknownError, TopicNameInvalidError, MessageInvalidError, MessageTooLargeError,
   *   PayloadNotSerializableError, PayloadInvalidError
   */
  async publish<T>(message: Message<T>): Promise<Published>;
  async publish<T>(tx: TransactionHandle, message: Message<T>): Promise<Published>;
  async publish<T>(...given: [Message<T>] | [TransactionHandle, Message<T>]): Promise<Published> {
    const [tx, message] = given.length === 1 ? [this.#around('outbox.publish'), ...given] : given;
    const joined = this.#join(tx);
    const encoded = this.encode(message);
    await this.#write(joined, [encoded]);
    return { id: encoded.id };
  }

  /** Publishes one message in a new transaction, in one round trip. Errors like {@link publish}. */
  async publishAlone(database: PgDatabase, message: Message): Promise<Published> {
    return this.publishEncodedAlone(database, this.encode(message));
  }

  /** Like {@link publishAlone}, for a message encoded by {@link encode}. */
  async publishEncodedAlone(database: PgDatabase, encoded: EncodedMessage): Promise<Published> {
    await database.runTogether(this.statementsOf([encoded]));
    this.#ring();
    return { id: encoded.id };
  }

  /**
   * Publishes several messages in one transaction, in this order: all of them, or none. Otherwise like {@link publish}.
   */
  async publishMany(messages: readonly Message[]): Promise<Published[]>;
  async publishMany(tx: TransactionHandle, messages: readonly Message[]): Promise<Published[]>;
  async publishMany(
    ...given: [readonly Message[]] | [TransactionHandle, readonly Message[]]
  ): Promise<Published[]> {
    const [tx, messages] = given.length === 1 ? [this.#around('outbox.publishMany'), ...given] : given;
    const joined = this.#join(tx);
    const encoded = messages.map((message) => this.encode(message));
    await this.#write(joined, encoded);
    return encoded.map(({ id }) => ({ id }));
  }

  /** Publishes messages encoded by {@link encode}; otherwise like {@link publishMany}. */
  async publishEncoded(tx: TransactionHandle, messages: readonly EncodedMessage[]): Promise<void> {
    await this.#write(this.#join(tx), messages);
  }

  async #write({ session, onEnd }: JoinedTransaction, messages: readonly EncodedMessage[]): Promise<void> {
    for (const { statement, params } of this.statementsOf(messages))
      await runAhead(session, statement, ...params);
    if (messages.length > 0) this.#announce(onEnd);
  }

  /**
   * Cancels a scheduled message, or all that carry a token, when the transaction `tx` (or that of
   * `options.ambient`) commits. Messages published in it, or before it, can be cancelled, whether
   * relayed yet or not; delivered ones cannot. See `Timers.cancel` for a count.
   *
   * @throws TransactionRequiredError, MessageInvalidError
   */
  async cancelTimer(target: TimerTarget): Promise<void>;
  async cancelTimer(tx: TransactionHandle, target: TimerTarget): Promise<void>;
  async cancelTimer(...given: [TimerTarget] | [TransactionHandle, TimerTarget]): Promise<void> {
    const [tx, target] = given.length === 1 ? [this.#around('outbox.cancelTimer'), ...given] : given;
    await this.#changeTimer(tx, cancelStatement(target));
  }

  /** Moves a scheduled message, or all that carry a token, to another time; otherwise like {@link cancelTimer}. */
  async rescheduleTimer(target: TimerTarget, time: TimerDelay): Promise<void>;
  async rescheduleTimer(tx: TransactionHandle, target: TimerTarget, time: TimerDelay): Promise<void>;
  async rescheduleTimer(
    ...given: [TimerTarget, TimerDelay] | [TransactionHandle, TimerTarget, TimerDelay]
  ): Promise<void> {
    const [tx, target, time] =
      given.length === 2 ? [this.#around('outbox.rescheduleTimer'), ...given] : given;
    await this.#changeTimer(tx, rescheduleStatement(target, time));
  }

  async #changeTimer(tx: unknown, { statement, params }: BoundStatement): Promise<void> {
    const { session, onEnd } = this.#join(tx);
    await runAhead(session, statement, ...params);
    this.#announce(onEnd);
  }

  /**
   * An open transaction as Waybill uses it; without `tx`, the one that the caller runs in.
   * @param method for the error when there is none
   * @throws TransactionRequiredError
   */
  join(
    tx: TransactionHandle | undefined,
    method: string,
  ): { session: SqlSession; handle: TransactionHandle } {
    const handle = tx ?? (this.#around(method) as TransactionHandle);
    return { session: joinTransaction(handle, this.schema, this.#prepared).session, handle };
  }

  #join(tx: unknown): JoinedTransaction {
    return joinTransaction(tx, this.schema, this.#prepared);
  }

  /** The transaction that the caller runs in. */
  #around(method: string): unknown {
    const tx = this.#ambient();
    if (tx === undefined) throw noTransaction(`${method} was called without a transaction and outside one`);
    return tx;
  }

  /**
   * Checks a message against every limit and its topic's schema and encodes it, for {@link statementsOf}.
   * @throws TopicNameInvalidError, MessageInvalidError, MessageTooLargeError, PayloadNotSerializableError,
   *   PayloadInvalidError
   */
  encode(message: Message, options?: EncodeOptions): EncodedMessage {
    return encodeMessage(message, this.#rules, options);
  }

  /** Like {@link encode}, for a message from Waybill itself. */
  encodeControl({ control, hasUserKey = false, ...message }: ControlMessage): EncodedMessage {
    return encodeMessage(message, this.#rules, { control, hasUserKey });
  }

  /** An encoded message with other control headers, signed again: the signature covers them. */
  withControl(encoded: EncodedMessage, control: ControlMessage['control']): EncodedMessage {
    const content = { ...encoded, control };
    return { ...content, signature: this.#rules.signatures?.sign(content) ?? null };
  }

  /** The statements that write these messages, to be run in this order in one transaction. */
  statementsOf(messages: readonly EncodedMessage[]): BoundStatement[] {
    const only = messages.length === 1 ? messages[0] : undefined;
    const inserts = only?.times === null ? [this.#insertOf(only)] : insertsOf(messages);
    const keys = this.#strict
      ? messages.flatMap(({ topic, key }) => (key === null ? [] : [`${topic}/${key}`]))
      : [];
    const lock = keys.length > 0 ? [bindStatement(lockKeys, JSON.stringify(keys))] : [];
    const keeps = [...new Set(messages.flatMap(({ keepSubject }) => keepSubject ?? []))];
    return [...keeps, ...lock, ...inserts].map((statement) => ({ ...statement, prepared: this.#prepared }));
  }

  #insertOf(message: EncodedMessage): BoundStatement {
    const { id, topic, partition, key, control, payload, expiresAtMs, signature } = message;
    const headers = message.headers && JSON.stringify(message.headers);
    if (control !== null) {
      const insert = insertControlIntoCurrentSlot(Date.now());
      const own = JSON.stringify(control);
      return bindStatement(insert, id, topic, partition, key, headers, payload, expiresAtMs, signature, own);
    }
    const insert = insertIntoCurrentSlot(Date.now());
    return bindStatement(insert, id, topic, partition, key, headers, payload, expiresAtMs, signature);
  }

  /**
   * Wakes the relay when the transaction ends; if that cannot be observed, now: it then polls more often for a while.
   */
  #announce(onEnd: ((callback: () => void) => void) | undefined): void {
    if (onEnd === undefined) this.bell?.ring('soon');
    else if (this.bell !== undefined) onEnd(this.#ring);
  }
}

function insertsOf(messages: readonly EncodedMessage[]): BoundStatement[] {
  const inserts: BoundStatement[] = [];
  for (let from = 0; from < messages.length; from += STATEMENT_MESSAGES) {
    const part = messages.slice(from, from + STATEMENT_MESSAGES);
    const rows = part.map(rowOf);
    inserts.push(bindStatement(insertFor(part), JSON.stringify(rows)));
  }
  return inserts;
}

function rowOf(encoded: EncodedMessage): object {
  const { times, payload, keepSubject: _, ...message } = encoded;
  return { ...message, ...times, payload: payload.toString('base64') };
}

function insertFor(messages: readonly EncodedMessage[]): typeof insertMessages {
  if (messages.some(({ control }) => control !== null)) return insertControlMessages;
  return messages.every(({ times }) => times === null) ? insertMessages : insertScheduledMessages;
}
