import { Bell, type PgDatabase } from '@waybill/kernel';
import type { LogEngine } from '../engine/log-engine.js';
import { LogSink } from './log-sink.js';
import type { MessageSink } from './message-sink.js';
import { OutboxSink } from './outbox-sink.js';

/** What a sink sends to. */
export interface SinkDependencies {
  readonly log: Pick<LogEngine, 'appendWithin' | 'signals' | 'topics'>;
  /** The service's database. */
  readonly database: PgDatabase;
  /** Rung when messages wait in the outbox for the relay of this process. Default: none. */
  readonly bell?: Bell | undefined;
}

const BATCH_BYTES = 1024 * 1024;

/**
 * Where a service sends messages of its own.
 * @param batchBytes largest record batch, in bytes. Default 1 MiB
 */
export function sinkFor(
  { log, database, bell = new Bell() }: SinkDependencies,
  batchBytes = BATCH_BYTES,
): MessageSink {
  const append = log.appendWithin(database);
  return append === undefined ? new OutboxSink(log.topics, bell) : new LogSink(log, append, batchBytes);
}
