import { subjectKeyIdOf } from '../cipher/index.js';
import { type ReadyBatch, sortForAppend } from '../engine/ready-batch.js';
import type { Topics } from '../engine/topics.js';
import { Partitioner } from './partitioner.js';
import { EXPIRES_AT_HEADER, MESSAGE_ID_HEADER, SIGNATURE_HEADER } from '../record/record-headers.js';
import { RecordBatchBuilder, type RecordHeader } from '../record/index.js';

/** A message to be appended to the log. Its buffers are copied immediately. */
export interface MessageToCollect {
  /** Its id, a UUID in text form. */
  readonly id: Buffer;
  readonly topic: string;
  /** Null: determined by the key; without a key, in turn, batch by batch. */
  readonly partition: number | null;
  readonly key: Buffer | null;
  /** An object as JSON text. */
  readonly headers: string | null;
  /** Control headers, in the same form. */
  readonly control?: string | null;
  /** When it expires, in milliseconds since 1970. */
  readonly expiresAtMs?: number | null;
  readonly signature?: string | null;
  readonly payload: Buffer | null;
  readonly timestampMs: number;
}

const MESSAGE_ID_KEY = Buffer.from(MESSAGE_ID_HEADER);
const SPARE_BUILDERS = 64;

/** Turns messages into record batches, one builder per partition, for one append. */
export class BatchCollector {
  readonly #partitioner = new Partitioner();
  readonly #spare: RecordBatchBuilder[] = [];
  #builders = new Map<number, RecordBatchBuilder>();
  #ready: ReadyBatch[] = [];
  /** Of subjects, by partition, for the batch that is being built. */
  readonly #keyIds = new Map<number, Set<string>>();

  /** @param batchBytes largest record batch, in bytes; a larger message gets its own batch */
  constructor(
    private readonly topics: Topics,
    private readonly batchBytes: number,
  ) {}

  /**
   * Collects the messages that `fill` adds, and runs no query: the topics have been read before. When it throws, nothing is
   * kept for the next time.
   * @returns the batches, sorted for appending
   * @throws TopicUnknownError, MessageInvalidError when a message names a topic or a partition that does not exist,
   *   unless `fill` catches the error of `add`: then the message is left out
   */
  async collect(fill: (add: (message: MessageToCollect) => void) => Promise<void>): Promise<ReadyBatch[]> {
    try {
      await fill((message) => this.#add(message));
      for (const [partitionId, builder] of this.#builders) this.#finish(partitionId, builder);
      this.#partitioner.nextBatch();
      return sortForAppend(this.#ready);
    } finally {
      for (const builder of this.#builders.values()) this.#putBack(builder);
      this.#builders = new Map();
      this.#ready = [];
      this.#keyIds.clear();
    }
  }

  #add(message: MessageToCollect): void {
    const topic = this.topics.place(message);
    this.#partitioner.know(message.topic);
    const number =
      message.partition ?? this.#partitioner.choose(topic.name, message.key, topic.partitionIds.length);
    const partitionId = topic.partitionIds[number] as number;
    const headers: RecordHeader[] = [{ key: MESSAGE_ID_KEY, value: message.id }];
    const { control = null, expiresAtMs = null, signature = null } = message;
    if (control !== null) addHeaders(headers, control);
    if (expiresAtMs !== null)
      headers.push({ key: EXPIRES_AT_HEADER, value: Buffer.from(String(expiresAtMs)) });
    if (signature !== null) headers.push({ key: SIGNATURE_HEADER, value: Buffer.from(signature) });
    if (message.headers !== null) addHeaders(headers, message.headers);
    const bytes =
      (message.key?.length ?? 0) +
      (message.payload?.length ?? 0) +
      (message.headers?.length ?? 0) +
      (control?.length ?? 0);
    this.#builderOf(partitionId, bytes).append(message.timestampMs, message.key, message.payload, headers);
    const keyId = subjectKeyIdOf(message.payload);
    if (keyId !== undefined) this.#needs(partitionId, keyId);
  }

  #needs(partitionId: number, keyId: string): void {
    const needed = this.#keyIds.get(partitionId);
    if (needed === undefined) this.#keyIds.set(partitionId, new Set([keyId]));
    else needed.add(keyId);
  }

  #builderOf(partitionId: number, messageBytes: number): RecordBatchBuilder {
    let builder = this.#builders.get(partitionId);
    if (builder !== undefined && builder.byteLength + messageBytes > this.batchBytes) {
      this.#finish(partitionId, builder);
      builder.reset();
    }
    if (builder === undefined) {
      builder = this.#spare.pop() ?? new RecordBatchBuilder(64 * 1024);
      this.#builders.set(partitionId, builder);
    }
    return builder;
  }

  #finish(partitionId: number, builder: RecordBatchBuilder): void {
    if (builder.count === 0) return;
    const subjectKeyIds = [...(this.#keyIds.get(partitionId) ?? [])];
    this.#keyIds.delete(partitionId);
    this.#ready.push({
      partitionId,
      recordCount: builder.count,
      maxTimestampMs: builder.maxTimestamp,
      baseSequence: -1,
      data: builder.build(),
      ...(subjectKeyIds.length === 0 ? {} : { subjectKeyIds }),
    });
  }

  #putBack(builder: RecordBatchBuilder): void {
    builder.reset();
    if (this.#spare.length < SPARE_BUILDERS) this.#spare.push(builder);
  }
}

function addHeaders(headers: RecordHeader[], json: string): void {
  const parsed = JSON.parse(json) as Record<string, string | null> | null;
  for (const [key, value] of Object.entries(parsed ?? {})) {
    headers.push({ key, value: value === null ? null : Buffer.from(value) });
  }
}

/** All headers of a message that waits elsewhere before it is appended, as one JSON object. */
export function headersTogether({
  headers,
  control = null,
  expiresAtMs = null,
  signature = null,
}: Pick<MessageToCollect, 'headers' | 'control' | 'expiresAtMs' | 'signature'>): string | null {
  if (control === null && expiresAtMs === null && signature === null) return headers;
  return JSON.stringify({
    ...(JSON.parse(headers ?? '{}') as object),
    ...(JSON.parse(control ?? '{}') as object),
    ...(expiresAtMs === null ? {} : { [EXPIRES_AT_HEADER]: String(expiresAtMs) }),
    ...(signature === null ? {} : { [SIGNATURE_HEADER]: signature }),
  });
}
