import type { Type } from '@nestjs/common';
import type { BatchOptions } from '@waybill/consumer';
import type { MessageHandler } from '@nestjs/microservices';
import { guardOf } from '../handler/idempotent.js';
import { isSagaCommand } from '../sagas/saga-command-mark.js';

/**
 * The option `batch` of `@EventPattern(topic, { batch })`: the handler gets several messages of a partition at once, the
 * payloads as an array.
 */
export type BatchExtra = BatchOptions & {
  /** The class of a payload, for pipes such as ValidationPipe: the type `Order[]` does not say it. Default: none. */
  readonly type?: Type;
};

/** The option `batch` of a handler; undefined if it gets one message at a time. */
export function batchOf({ extras }: MessageHandler): BatchExtra | undefined {
  return (extras as { readonly batch?: BatchExtra } | undefined)?.batch;
}

/** Why handlers of a topic cannot be batch handlers; empty if they can, or are none. */
export function batchProblems(topic: string, handlers: readonly MessageHandler[]): string[] {
  const problems: string[] = [];
  for (const handler of handlers) {
    if (batchOf(handler) === undefined) continue;
    const { extras, isEventHandler } = handler;
    const has = (what: string): void => void problems.push(`the batch handler of ${topic} ${what}`);
    if (handlers.length > 1) has('is not the only handler of this pattern: give each topic one');
    if (isEventHandler !== true || isSagaCommand(extras))
      has('replies: use @EventPattern, or handle one message at a time');
    if (extras !== undefined && 'transactionBatch' in extras)
      has('has transactionBatch: all messages of a call share a transaction, and batch.max says how many');
    if (guardOf(extras)?.guard === 'lease')
      has('has @Idempotent with a lease: when one message fails, the effects of others would be repeated');
  }
  return problems;
}
