import {
  ConfigurationError,
  EffectInProgressError,
  type Given,
  IdOutsideWindowError,
  MessageIdInvalidError,
  oneOf,
  type Resolved,
  resolveOptions,
  type SqlSession,
  wholeNumber,
} from '@waybill/kernel';
import { idTimeMs, moment } from '@waybill/kernel/internal';
import type { Sealer } from '@waybill/log';
import { enterMessage, keepMessage } from '../statements.generated.js';
import { decodeResult, encodeResult, StoredResults } from './stored-result.js';

const DAY_MS = 86_400_000;

/**
 * How far ahead of the database's clock a message may be, because of the clock that made its id; also how much longer
 * than the window a row is kept, so that such a message is known for its whole window.
 */
const SLACK_MS = DAY_MS;
/** Longest name of a consumer, and longest id, in characters: both are part of an index. */
const MAX_CONSUMER = 600;
const MAX_ID = 255;
const MAX_RESULT_BYTES = 1024 * 1024;
/** When another's work is likely to have ended, for callers that are refused instead of waiting; in milliseconds. */
const RETRY_AFTER_MS = 1_000;

const SPECS = {
  /**
   * How long a message is recognised after it was received, in milliseconds; an older one is refused. The default
   * exceeds the default lifetime of all possible repeats: 8 days of the log, 30 days of dead letters; with days to
   * spare.
   */
  windowMs: wholeNumber({ default: 40 * DAY_MS, min: 60_000, max: 100 * DAY_MS }),
  /** What a duplicate does while the first runs: it waits for its end, or is refused immediately. */
  onConflict: oneOf(['wait', 'refuse'], 'wait'),
  /** Longest wait for the end of the first, in milliseconds. */
  waitMs: wholeNumber({ default: 10_000, min: 1, max: 600_000 }),
  /** Maximum size of a stored result, in bytes of JSON. */
  maxResultBytes: wholeNumber({ default: 65_536, min: 0, max: MAX_RESULT_BYTES }),
};

/** Options of a {@link MessageIdGuard}. */
export type MessageIdGuardOptions = Given<typeof SPECS>;

/** Options for one message. */
export interface OnceOptions {
  /**
   * When the message was received, for one from a log: a delivery's timestamp. Its age is judged by that and
   * not by the time in its id, so that one that was delayed, or comes from a dead letter, does not count as old.
   */
  readonly receivedAt?: Date;
  /** Default: that of the guard. */
  readonly onConflict?: 'wait' | 'refuse';
  /** The subject whose data the result contains: it is encrypted with that subject's key. Used only with a cipher. */
  readonly subject?: string | null;
}

/** The result of a message. */
export interface OnceOutcome<T> {
  /** The value that the work resolved to, now or when it ran, in its JSON form; `undefined` as null. */
  readonly result: T;
  /** Whether the work ran before, not now. */
  readonly duplicate: boolean;
}

/** Dependencies of a {@link MessageIdGuard}. */
export interface MessageIdGuardDependencies {
  /** Turns the caller's transaction into a session. @throws TransactionRequiredError */
  readonly join: (tx: unknown) => SqlSession;
  /** Encrypts results. Default: one without a cipher. */
  readonly sealer?: Sealer;
}

/**
 * The message-id guard: work that belongs to a message takes effect once for a consumer, however often the message is
 * sent. The message's id is stored in the transaction of the effect, so both exist or neither does.
 *
 * A copy that arrives while the first is being handled waits for its end, and then gets its result. A copy that arrives
 * after the window is refused, never treated as new; that is judged by the database's clock, and for
 *
 * - a message with `receivedAt`: by that. Copies are one message if the last of them was received within the
 *   window after the first.
 * - an id that is a UUIDv7: by the time in it. Copies are one message whenever they arrive.
 * - any other id: not judged, since it contains no time. Copies are one message within the window, and a new one after
 * that.
 */
export class MessageIdGuard {
  readonly #options: Resolved<typeof SPECS>;
  readonly #results: StoredResults;
  /**
   * Messages being handled within each open transaction: the database's locks do not block a transaction from itself.
   */
  readonly #within = new WeakMap<object, Set<string>>();

  /** @throws ConfigurationError */
  constructor(
    private readonly dependencies: MessageIdGuardDependencies,
    options: MessageIdGuardOptions = {},
  ) {
    this.#options = resolveOptions('message-id guard', SPECS, options);
    this.#results = new StoredResults('message-result', dependencies.sealer);
  }

  /** How long a message is recognised, in milliseconds. */
  get windowMs(): number {
    return this.#options.windowMs;
  }

  /**
   * Runs `work` unless it has run for this consumer and message before; then its result is returned.
   *
   * @param tx the open READ COMMITTED transaction that `work` writes through; what it writes elsewhere may happen twice
   * @param consumer names the effect; two consumers of one message are two effects
   * @param work must resolve to JSON of at most `maxResultBytes`. When it rejects, nothing is stored; roll
   *   the transaction back, as for any failure
   * @throws the error of `work`
   * @throws IdOutsideWindowError, MessageIdInvalidError, IsolationLevelError, TransactionRequiredError
   * @throws TransactionConflictError if the first is still being handled after `waitMs`; the transaction is lost
   * @throws EffectInProgressError if it is and `onConflict` is `refuse`, or if this transaction itself is handling it
   * @throws ResultTooLargeError, ResultNotSerializableError; roll the transaction back
   */
  async once<T>(
    tx: unknown,
    consumer: string,
    messageId: string,
    work: () => Promise<T>,
    options: OnceOptions = {},
  ): Promise<OnceOutcome<T>> {
    checkNames(consumer, messageId);
    const session = this.dependencies.join(tx);
    const running = this.#runningWithin(tx as object);
    const what = `message ${messageId} of ${consumer}`;
    const name = JSON.stringify([consumer, messageId]);
    if (running.has(name)) throw new EffectInProgressError(what, RETRY_AFTER_MS);
    running.add(name);
    try {
      const stored = await this.#enter(session, consumer, messageId, options);
      const of = [consumer, messageId];
      if (stored !== undefined) {
        const opened = await this.#results.open(session, stored.result, of);
        return { result: decodeResult<T>(opened, what, MAX_RESULT_BYTES), duplicate: true };
      }
      const { maxResultBytes, windowMs } = this.#options;
      const kept = encodeResult(await work(), maxResultBytes);
      // Refuses a result that cannot be stored while the transaction can still be rolled back.
      const result = decodeResult<T>(kept, what, maxResultBytes);
      const key = this.#results.keyOf(options.subject);
      const sealed = this.#results.seal(kept, of, key);
      if (key !== undefined) await session.run(key.keep.statement, ...key.keep.params);
      await session.run(keepMessage, consumer, messageId, windowMs + SLACK_MS, sealed);
      return { result, duplicate: false };
    } finally {
      running.delete(name);
    }
  }

  /** @returns the stored result of the message; undefined if the work must be done */
  async #enter(
    session: SqlSession,
    consumer: string,
    messageId: string,
    { receivedAt, onConflict = this.#options.onConflict }: OnceOptions,
  ): Promise<{ readonly result: string | null } | undefined> {
    const { windowMs, waitMs } = this.#options;
    const problem = receivedAt === undefined ? undefined : moment().check(receivedAt);
    if (problem !== undefined)
      throw new ConfigurationError('A message cannot be entered', [`receivedAt ${problem}`]);
    const judgedMs = receivedAt?.getTime() ?? idTimeMs(messageId) ?? null;
    const [row] = await session.run(
      enterMessage,
      consumer,
      messageId,
      judgedMs,
      windowMs,
      SLACK_MS,
      onConflict === 'refuse' ? 0 : waitMs,
    );
    if (row?.outcome === 'duplicate') return { result: row.result };
    if (row?.outcome === 'new') return undefined;
    if (row?.outcome === 'outside' && judgedMs !== null)
      throw new IdOutsideWindowError(consumer, messageId, { judgedMs, nowMs: row.nowMs, windowMs });
    throw new EffectInProgressError(`message ${messageId} of ${consumer}`, RETRY_AFTER_MS);
  }

  #runningWithin(tx: object): Set<string> {
    let running = this.#within.get(tx);
    if (running === undefined) {
      running = new Set();
      this.#within.set(tx, running);
    }
    return running;
  }
}

function checkNames(consumer: string, messageId: unknown): void {
  if (typeof consumer !== 'string' || consumer === '' || consumer.length > MAX_CONSUMER) {
    throw new ConfigurationError('A message cannot be entered', [
      `consumer must be a string of 1 to ${MAX_CONSUMER} characters`,
    ]);
  }
  if (typeof messageId !== 'string' || messageId === '')
    throw new MessageIdInvalidError(consumer, 'it has no id');
  if (messageId.length > MAX_ID)
    throw new MessageIdInvalidError(consumer, `its id has ${messageId.length} characters`);
  if (messageId.includes('\0')) throw new MessageIdInvalidError(consumer, 'its id contains a zero byte');
}
