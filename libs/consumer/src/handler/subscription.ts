import { type Given, oneOf, type Resolved, resolveOptions, wholeNumber } from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';
import { type Codec, type GivenTopicSchema, jsonCodec, PayloadContract } from '@waybill/outbox';
import { resolveRetryPolicy, type RetryPolicy, type RetryPolicyOptions } from '../policy/retry-policy.js';
import type { CircuitBreakerOptions } from '../policy/circuit-breaker.js';
import { type BatchHandler, type BatchOptions, resolveBatch, type ResolvedBatch } from './batch.js';
import type { Delivery } from './delivery.js';
import { isMeantForAsker } from '../reply/remote-error.js';

const SPECS = {
  /** `key`: keys in parallel, the messages of one key in order. `partition`: a partition's messages one by one. */
  concurrency: oneOf(['key', 'partition'], 'key'),
  /** How long a handler may run, in milliseconds; then its transaction is rolled back. */
  maxProcessingMs: wholeNumber({ default: 30_000, min: 10, max: 3_600_000 }),
  /**
   * Maximum number of messages that share a transaction. Without this option none do where an ORM runs the transactions: what
   * one handler sets for its transaction would reach the next.
   */
  transactionBatch: wholeNumber({ default: 100, min: 1, max: 500 }),
  /**
   * How long the handlers of messages that share a transaction may take together, in milliseconds: a slow handler's messages
   * share none.
   */
  batchMs: wholeNumber({ default: 20, min: 1, max: 10_000 }),
  /** Whether the handler replies to requests. If not, a request is treated as an event. */
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
  /**
   * The schema of the payload: a payload that does not fit becomes a dead letter at once; the handler gets the schema's
   * output.
   */
  readonly schema?: GivenTopicSchema | PayloadContract;
  /** Identifies the handler in dead letters. Default: the topic. */
  readonly name?: string;
  /**
   * Selects failures that are reported to requesters in full. Default: those meant for them (RpcException,
   * HttpException, thrown values that are not errors). For all others they get a code, and an id by which the service
   * can find the cause.
   */
  readonly tellErrors?: (error: unknown) => boolean;
  /** Pauses the handler in this process after several failures in a row. Default: never. */
  readonly circuitBreaker?: CircuitBreakerOptions;
};

/** Options of a subscription with a batch handler. `maxProcessingMs` holds for a whole batch. */
export type BatchSubscriptionOptions = Omit<
  SubscriptionOptions,
  'transactionBatch' | 'batchMs' | 'replies'
> & {
  readonly batch?: BatchOptions;
};

/** A handler that gets one message a call. */
export interface SingleHandling {
  readonly kind: 'single';
  readonly handler: Handler;
}

/** A handler that gets several messages a call. */
export interface BatchHandling extends ResolvedBatch {
  readonly kind: 'batch';
  readonly handler: BatchHandler;
}

/** What a subscription calls. */
export type Handling = SingleHandling | BatchHandling;

/** A topic, the handler of its messages, and how it is run. */
export interface Subscription extends Resolved<typeof SPECS> {
  readonly topic: string;
  readonly handling: Handling;
  readonly retry: RetryPolicy;
  readonly codec: Codec;
  readonly contract: PayloadContract | undefined;
  readonly name: string;
  readonly circuitBreaker: CircuitBreakerOptions | undefined;
  readonly tellErrors: (error: unknown) => boolean;
  /** Whether `transactionBatch` was given. */
  readonly asksForBatches: boolean;
}

/** @throws ConfigurationError */
export function resolveSubscription(
  topic: string,
  handler: Handler,
  options: SubscriptionOptions = {},
): Subscription {
  return resolveHandling(topic, { kind: 'single', handler }, options);
}

/** A subscription whose handler gets several messages a call. @throws ConfigurationError */
export function resolveBatchSubscription(
  topic: string,
  handler: BatchHandler,
  { batch = {}, ...options }: BatchSubscriptionOptions = {},
): Subscription {
  return resolveHandling(topic, { kind: 'batch', handler, ...resolveBatch(topic, batch) }, options);
}

function resolveHandling(topic: string, handling: Handling, options: SubscriptionOptions): Subscription {
  const { retry, codec, schema, name, circuitBreaker, tellErrors = isMeantForAsker, ...rest } = options;
  const resolved = resolveOptions(`subscription to ${topic}`, SPECS, rest, () =>
    typeof tellErrors === 'function' ? [] : ['tellErrors must be a function'],
  );
  return {
    ...resolved,
    topic,
    handling,
    retry: resolveRetryPolicy(retry),
    codec: codec ?? jsonCodec,
    contract: contractOf(topic, schema),
    name: name ?? topic,
    circuitBreaker,
    tellErrors,
    asksForBatches: options.transactionBatch !== undefined,
  };
}

function contractOf(topic: string, schema: SubscriptionOptions['schema']): PayloadContract | undefined {
  if (schema === undefined || schema instanceof PayloadContract) return schema;
  return new PayloadContract(topic, schema);
}
