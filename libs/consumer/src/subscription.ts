import { type Given, oneOf, type Resolved, resolveOptions, wholeNumber } from '@waybill/kernel';
import { type Codec, jsonCodec } from '@waybill/outbox';
import { resolveRetryPolicy, type RetryPolicy, type RetryPolicyOptions } from '@waybill/schedule';
import type { Delivery } from './delivery.js';

const SPECS = {
  /** `key`: keys in parallel, the messages of one key in order. `partition`: a partition's messages one by one. */
  concurrency: oneOf(['key', 'partition'], 'key'),
  /** How long a handler may take, in milliseconds; then its transaction is rolled back. */
  maxProcessingMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
  /** Messages that share a transaction at most, each under a savepoint. */
  transactionBatch: wholeNumber({ default: 1, min: 1, max: 32 }),
};

/** Handles a delivery. What it writes through `delivery.transaction` takes effect exactly once. */
export type Handler = (delivery: Delivery) => Promise<unknown>;

/** Options of a {@link Subscription}. */
export type SubscriptionOptions = Given<typeof SPECS> & {
  readonly retry?: RetryPolicyOptions;
  /** Default JSON. */
  readonly codec?: Codec;
};

/** A topic, the handler for its messages, and how it is to be run. */
export interface Subscription extends Resolved<typeof SPECS> {
  readonly topic: string;
  readonly handler: Handler;
  readonly retry: RetryPolicy;
  readonly codec: Codec;
}

/** @throws ConfigurationError */
export function resolveSubscription(
  topic: string,
  handler: Handler,
  options: SubscriptionOptions = {},
): Subscription {
  const { retry, codec, ...rest } = options;
  const resolved = resolveOptions(`subscription to ${topic}`, SPECS, rest);
  return { ...resolved, topic, handler, retry: resolveRetryPolicy(retry), codec: codec ?? jsonCodec };
}
