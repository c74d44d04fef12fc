import { type Headers, type ReplyStatus } from '@waybill/consumer';
import {
  REPLY_ERROR_HEADER,
  REPLY_KEY_HEADER,
  REPLY_STATUS_HEADER,
  REPLY_TO_HEADER,
  replyStatus,
  REQUEST_ID_HEADER,
} from '@waybill/consumer/internal';
import {
  BackgroundService,
  Bell,
  describeError,
  isInfrastructureFailure,
  type Logger,
  newId,
  type PassResult,
  type PgDatabase,
} from '@waybill/kernel';
import { dictionary } from '@waybill/kernel/internal';
import { decodeBatch, type LogEngine, type LogRecord, type Sealer } from '@waybill/log';
import { openRecord, Partitioner } from '@waybill/log/internal';
import type { Codec, MessageSignatures } from '@waybill/outbox';
import { ReplyPlace } from './reply-place.js';
import { newRequest, type RequestName } from './request-cancellations.js';

/** In the last reply to a request: the number of values of the reply, unless it is one. */
export const REPLY_VALUES_HEADER = 'waybill-reply-values';
/** Replies are useless once their request has been given up. */
const REPLY_RETENTION_MS = 3_600_000;
/** Longest time between two reads of the log, in milliseconds. */
const POLL_MS = 100;
/** Minimum interval of log lines about possibly forged replies, in milliseconds. */
const LINE_MS = 10_000;

/** A reply, as it arrived. */
export interface Reply {
  readonly status: ReplyStatus;
  readonly payload: unknown;
  readonly error: string | undefined;
  /** In the last reply: the number of values. If it is 0, the payload has no meaning. */
  readonly values: number;
  readonly headers: Headers;
}

/** Awaits the replies to a request. */
export interface ReplyHearer {
  onReply(reply: Reply): void;
  /** No more replies will arrive: this process is stopping. */
  closed(): void;
}

/** What a {@link ReplyListener} works with. */
export interface ReplyListenerDependencies {
  readonly log: LogEngine;
  /** The database that holds the keys of subjects. */
  readonly database: PgDatabase;
  /** The topic of replies; all processes of the service share it. */
  readonly topic: string;
  /** The options of that topic. */
  readonly codec: Codec;
  /** Decrypts replies. */
  readonly sealer: Sealer;
  /** Verifies replies; undefined if messages are not signed. */
  readonly signatures: MessageSignatures | undefined;
  readonly logger: Logger;
}

/**
 * Receives the replies to this process's requests. They are written to a topic of the service, with a key of this
 * process, so that all are in one partition, which is read from its end: a reply that arrives while no process listens
 * belongs to a request that has ended.
 */
export class ReplyListener {
  readonly #key = newId();
  readonly #bell = new Bell();
  readonly #service: BackgroundService;
  readonly #waiting = new Map<string, ReplyHearer>();
  #starting: Promise<void> | undefined;
  #toldMs = -Infinity;
  #place: ReplyPlace | undefined;
  #unsubscribe: () => void = () => {};

  constructor(private readonly dependencies: ReplyListenerDependencies) {
    this.#service = new BackgroundService({
      name: 'the reply listener',
      runOnce: () => this.#read(),
      idleMaxMs: POLL_MS,
      bell: this.#bell,
      logger: dependencies.logger,
    });
  }

  /** Starts listening. Starting twice has no further effect; after a failure it may be started again. */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    await this.#service.stop();
    this.#starting = undefined;
    for (const hearer of this.#waiting.values()) hearer.closed();
  }

  /** The control headers of a new request, and its id. */
  request(): { readonly name: RequestName; readonly control: Headers } {
    const name = newRequest();
    const { id } = name;
    const { topic } = this.dependencies;
    return {
      name,
      control: { [REPLY_TO_HEADER]: topic, [REPLY_KEY_HEADER]: this.#key, [REQUEST_ID_HEADER]: id },
    };
  }

  /** Passes every reply to a request on, until the returned function is called. */
  listen(id: string, hearer: ReplyHearer): () => void {
    this.#waiting.set(id, hearer);
    return () => this.#waiting.delete(id);
  }

  async #start(): Promise<void> {
    const { log, topic } = this.dependencies;
    const { partitionIds } = await log.topics.create(topic, { retentionMs: REPLY_RETENTION_MS });
    const number = new Partitioner().choose(topic, Buffer.from(this.#key), partitionIds.length);
    const partitionId = partitionIds[number] ?? 0;
    this.#place = await ReplyPlace.atEnd(log, partitionId);
    this.#unsubscribe = log.signals.subscribe('appended', this.#bell);
    this.#service.start();
  }

  async #read(): Promise<PassResult> {
    const place = this.#place;
    if (place === undefined) return 'idle';
    const { batches, mayHaveMore } = await place.fetch();
    for (const { data, checksum, lastOffset } of batches) {
      for (const record of decodeBatch(data, { fromOffset: place.next })) {
        await this.#onRecord(record);
        place.passed(record.offset + 1, checksum);
      }
      place.passed(lastOffset + 1, checksum);
    }
    return mayHaveMore ? 'again' : 'idle';
  }

  async #onRecord(record: LogRecord): Promise<void> {
    const headers = textsOf(record);
    const hearer = this.#waiting.get(headers[REQUEST_ID_HEADER] ?? '');
    const status = replyStatus(headers[REPLY_STATUS_HEADER]);
    if (hearer === undefined || status === undefined) return;
    if (!this.#isGenuine(record)) return;
    const values = Number(headers[REPLY_VALUES_HEADER] ?? 1);
    const reply = { status, payload: null, error: headers[REPLY_ERROR_HEADER], values, headers };
    try {
      const { database, topic, sealer, codec } = this.dependencies;
      const opened = await openRecord(sealer, database.session, topic, record, `the reply to ${topic}`);
      const payload = opened.value === null ? null : codec.decode(opened.value);
      hearer.onReply({ ...reply, headers: textsOf(opened), payload });
    } catch (error) {
      // A database that is unavailable for a moment says nothing about the reply: the record is read again.
      if (isInfrastructureFailure(error)) throw error;
      hearer.onReply({
        ...reply,
        status: 'failed',
        error: `could not read its reply (${describeError(error)})`,
      });
    }
  }

  /** A possibly forged reply is ignored: the request waits for the real one. */
  #isGenuine(record: LogRecord): boolean {
    const { signatures, topic, logger } = this.dependencies;
    try {
      signatures?.verify(topic, record, `${topic}@${record.offset}`);
      return true;
    } catch (error) {
      // A sender that floods the topic must not fill the log files.
      if (performance.now() - this.#toldMs > LINE_MS)
        logger.warn(`ignored a reply: ${describeError(error)}`, { topic });
      this.#toldMs = performance.now();
      return false;
    }
  }
}

function textsOf({ headers }: LogRecord): Headers {
  return dictionary(
    Object.fromEntries(headers.map(({ key, value }) => [key, value?.toString('utf8') ?? ''])),
  );
}
