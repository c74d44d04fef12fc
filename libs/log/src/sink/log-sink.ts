import type { BoundStatement } from '@waybill/kernel';
import { BatchCollector, type MessageToCollect } from '../append/batch-collector.js';
import { KnownTopics } from '../append/known-topics.js';
import type { AppendStatements, LogEngine } from '../engine/log-engine.js';
import type { MessageSink } from './message-sink.js';

/** Collectors that are kept for the next time. */
const SPARE = 4;

/** Appends to the log, which is in the database of the transaction. */
export class LogSink implements MessageSink {
  /** Only one transaction fills a collector at a time. */
  readonly #collectors: BatchCollector[] = [];
  readonly #known: KnownTopics;

  /** @param batchBytes largest record batch, in bytes; a larger message gets its own batch */
  constructor(
    private readonly log: Pick<LogEngine, 'topics' | 'signals'>,
    private readonly append: AppendStatements,
    private readonly batchBytes: number,
  ) {
    this.#known = new KnownTopics(log.topics);
  }

  ready(): Promise<void> {
    return this.#known.ready();
  }

  async collect(
    fill: (add: (message: MessageToCollect) => void) => Promise<void>,
  ): Promise<BoundStatement[]> {
    const collector = this.#collectors.pop() ?? new BatchCollector(this.log.topics, this.batchBytes);
    try {
      const batches = await this.#known.watch(() => collector.collect(fill));
      return batches.length > 0 ? [...this.append(batches)] : [];
    } finally {
      if (this.#collectors.length < SPARE) this.#collectors.push(collector);
    }
  }

  sent(): void {
    this.log.signals.send('appended');
  }
}
