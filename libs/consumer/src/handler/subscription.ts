import { type Given, oneOf, type Resolved, resolveOptions, wholeNumber } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';
import { type Codec, type GivenTopicSchema, jsonCodec, PayloadContract } from '@waybill/outbox';
import { resolveRetryPolicy, type RetryPolicy, type RetryPolicyOptions } from '../policy/retry-policy.js';
import type { CircuitBreakerOptions } from '../policy/circuit-breaker.js';
import type { Delivery } from './delivery.js';
import { isMeantForAsker } from '../reply/remote-error.js';

const SPECS = {
  /** `key`: keys in parallel, the messages of one key in order. `partition`: a partition's messages one by one. */
  concurrency: oneOf(['key', 'partition'], 'key'),
  /** How long a handler may take, in milliseconds; then its transaction is rolled back. */
  maxProcessingMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
  /** Messages that share a transaction at most, each under a savepoint. */
  transactionBatch: wholeNumber({ default: 1, min: 1, max: 32 }),
  /** Whether the handler answers those who ask for it. Where it does not, a message that asks is an event like any other. */
  replies: flag(false),
};

/**
 * Handles a delivery. What it writes through `delivery.transaction` takes effect exactly once. It may return or throw a
 * HandlerVerdict.
 */
export type Handler = (delivery: Delivery) => Promise<unknown>;

/** Options of a {@link Subscription}. */
export type SubscriptionOptions = Given<typeof SPECS> & {
  readonly retry?: RetryPolicyOptions;
  /** Default JSON. */
  readonly codec?: Codec;
  /** The schema of the payload: what does not fit is a dead letter at once; the handler gets the schema's output. */
  readonly schema?: GivenTopicSchema | PayloadContract;
  /** Names the handler in dead letters. Default: the topic. */
  readonly name?: string;
  /**
   * Which failures are told in full to those who ask. Default: those that were meant for them (RpcException, HttpException,
   * what is no error). Of all others they get a code, and an id by which the service finds the reason.
   */
  readonly tellErrors?: (error: unknown) => boolean;
  /** Pauses the handler in this process after failures in a row. Default: never. */
  readonly circuitBreaker?: CircuitBreakerOptions;
};

/** A topic, the handler for its messages, and how it is to be run. */
export interface Subscription extends Resolved<typeof SPECS> {
  readonly topic: string;
  readonly handler: Handler;
  readonly retry: RetryPolicy;
  readonly codec: Codec;
  readonly contract: PayloadContract | undefined;
  readonly name: string;
  readonly circuitBreaker: CircuitBreakerOptions | undefined;
  readonly tellErrors: (error: unknown) => boolean;
}

/** @throws ConfigurationError */
export function resolveSubscription(
  topic: string,
  handler: Handler,
  options: SubscriptionOptions = {},
): Subscription {
  const { retry, codec, schema, name, circuitBreaker, tellErrors = isMeantForAsker, ...rest } = options;
  const resolved = resolveOptions(`subscription to ${topic}`, SPECS, rest, () =>
    typeof tellErrors === 'function' ? [] : ['tellErrors must be a function'],
  );
  return {
    ...resolved,
    topic,
    handler,
    retry: resolveRetryPolicy(retry),
    codec: codec ?? jsonCodec,
    contract: contractOf(topic, schema),
    name: name ?? topic,
    circuitBreaker,
    tellErrors,
  };
}

function contractOf(topic: string, schema: SubscriptionOptions['schema']): PayloadContract | undefined {
  if (schema === undefined || schema instanceof PayloadContract) return schema;
  return new PayloadContract(topic, schema);
}
