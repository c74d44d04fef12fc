import { ConfigurationError, type Given, type Resolved, resolveOptions, wholeNumber } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import type { Delivery } from './delivery.js';
import { HandlerVerdict } from './handler-verdict.js';

const SPECS = {
  /** Maximum number of messages in a call. */
  max: wholeNumber({ default: 100, min: 1, max: 500 }),
  /**
   * How long to wait for `max` messages once there is one, in milliseconds; then the handler is called with those that are
   * there.
   */
  waitMs: wholeNumber({ default: 0, min: 0, max: 10_000 }),
};

/** How many messages a batch handler gets in a call. */
export type BatchOptions = Given<typeof SPECS>;

/** The options, with defaults. */
export type ResolvedBatch = Resolved<typeof SPECS>;

/**
 * Handles deliveries of one partition together, in the order of the log and in one transaction. It may return an array with a
 * verdict for each of them; undefined stands for "done". A message that it drops so is done in the same transaction; for any
 * other verdict, and when it throws, the transaction is rolled back, and the messages are handled again in parts: those before
 * the one that failed, and that one alone. A {@link BatchFailure} says which failed; otherwise the batch is halved.
 */
export type BatchHandler = (deliveries: readonly Delivery[]) => Promise<unknown>;

/** What a batch handler throws to say which message of the batch failed. Its cause is treated as that message's error. */
export class BatchFailure extends Error {
  override readonly name = 'BatchFailure';

  /**
   * @param index of the message in the batch, from 0
   * @param cause its error, or a verdict such as `retryIn`
   */
  constructor(
    readonly index: number,
    override readonly cause: unknown,
  ) {
    super(`the message at index ${index} of the batch failed`);
  }
}

/** A message that its batch handler dropped, by its index in the batch. */
export interface DroppedInBatch {
  readonly index: number;
  readonly verdict: HandlerVerdict;
}

/** @throws ConfigurationError */
export function resolveBatch(topic: string, options: BatchOptions): ResolvedBatch {
  return resolveOptions(`batch handler of ${topic}`, SPECS, options);
}

/**
 * The messages that a batch handler has dropped, by what it returned.
 * @param reply what the handler of several messages returned
 * @throws BatchFailure with the first other verdict
 * @throws ConfigurationError when there are verdicts, and not one for each message
 */
export function droppedBy(reply: unknown, count: number): readonly DroppedInBatch[] {
  if (reply instanceof HandlerVerdict) throw reply;
  if (!Array.isArray(reply) || !reply.some((one) => one instanceof HandlerVerdict)) return [];
  if (reply.length !== count)
    throw new ConfigurationError('What a batch handler returned is not usable', [
      `there are ${reply.length} verdicts for ${count} messages: return one for each, undefined for those that are done`,
    ]);
  const dropped: DroppedInBatch[] = [];
  for (const [index, verdict] of reply.entries()) {
    if (!(verdict instanceof HandlerVerdict)) continue;
    if (verdict.kind !== 'drop') throw new BatchFailure(index, verdict);
    dropped.push({ index, verdict });
  }
  return dropped;
}

/** The index and the error that a batch handler's error stands for: without an index, that of the whole batch. */
export function failureIn(
  error: unknown,
  count: number,
): { readonly at: number | undefined; readonly error: unknown } {
  if (!(error instanceof BatchFailure)) return { at: undefined, error };
  const { index, cause } = error;
  if (Number.isInteger(index) && index >= 0 && index < count) return { at: index, error: cause };
  const what = `A BatchFailure names index ${show(index)} of a batch of ${count} messages`;
  return { at: undefined, error: new Error(`${what}; the batch is handled in halves.`, { cause }) };
}
