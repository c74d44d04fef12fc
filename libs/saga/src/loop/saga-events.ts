import { types } from 'node:util';
import {
  type Delivery,
  drop,
  type HandlerVerdict,
  resolveSubscription,
  type Subscription,
} from '@waybill/consumer';
import {
  describeError,
  type Given,
  type Logger,
  resolveOptions,
  SubjectErasedError,
  wholeNumber,
} from '@waybill/kernel';
import type { Codec, EncodedMessage, Outbox, PayloadContract } from '@waybill/outbox';
import type { RetryPolicyOptions } from '@waybill/consumer';
import type { EventWaiter, SagaDefinitions } from '../definition/saga-definitions.js';
import type { SagaData } from '../definition/saga-definition.js';
import { plainOf } from '../machine/saga-data.js';
import { isName } from '../machine/saga-input.js';
import { waiterOf } from '../engine/event-waits.js';
import type { SagaEngine } from '../engine/saga-engine.js';
import { eventMessage } from '../message/saga-messages.js';

const SPECS = {
  /** How long an event that no saga waits for yet is kept, in milliseconds. */
  keepMs: wholeNumber({ default: 7 * 86_400_000, min: 10, max: 3_650 * 86_400_000 }),
};

/** Options of events of other services. */
export type SagaEventOptions = Given<typeof SPECS> & {
  /** Retry policy of an event that could not be applied to its sagas. */
  readonly retry?: RetryPolicyOptions;
};

/** What {@link SagaEvents} work with. */
export interface SagaEventsDependencies {
  readonly engine: SagaEngine;
  readonly definitions: SagaDefinitions;
  readonly logger: Logger;
  readonly codecOf: (topic: string) => Codec;
  readonly contractOf: (topic: string) => PayloadContract | undefined;
  readonly transitionMs: number;
}

/** Minimum time between log lines about events without a match value, in milliseconds. */
const LINE_MS = 10_000;

/**
 * Applies events of other services to the sagas of this one: starts sagas, and resumes those that wait. All of it
 * happens in the transaction of the delivery, so that an event counts once.
 */
export class SagaEvents {
  /** Events that did not identify their saga, for a step that may wait for them. */
  skipped = 0;
  #toldAt = -Infinity;
  readonly #keepMs: number;
  readonly #retry: RetryPolicyOptions | undefined;

  /** @throws ConfigurationError */
  constructor(
    private readonly dependencies: SagaEventsDependencies,
    { retry, ...options }: SagaEventOptions = {},
  ) {
    this.#keepMs = resolveOptions("sagas' events", SPECS, options).keepMs;
    this.#retry = retry;
  }

  /** Subscriptions to every topic that starts sagas or that steps wait for. */
  subscriptions(): Subscription[] {
    const { definitions, codecOf, contractOf, transitionMs } = this.dependencies;
    return definitions.eventTopics().map((topic) => {
      const schema = contractOf(topic);
      return resolveSubscription(topic, (delivery) => this.handle(delivery), {
        name: 'sagas',
        codec: codecOf(topic),
        maxProcessingMs: transitionMs,
        ...(schema && { schema }),
        ...(this.#retry && { retry: this.#retry }),
      });
    });
  }

  /** @throws SagaInputError, PayloadNotSerializableError, and what the functions of the definitions throw */
  async handle(delivery: Delivery): Promise<HandlerVerdict | undefined> {
    try {
      const event: unknown = plainOf(delivery.payload ?? null);
      const started = await this.#start(delivery, event);
      await this.#hand(delivery, event, started);
      return undefined;
    } catch (error) {
      if (error instanceof SubjectErasedError) return drop('its subject was erased');
      throw error;
    }
  }

  /** @returns the types of the sagas that it started */
  async #start({ topic, session, transaction, ...delivery }: Delivery, event: unknown): Promise<Set<string>> {
    const { engine, definitions } = this.dependencies;
    const started = new Set<string>();
    for (const { definition, key, data, when, subject } of definitions.startsOf(topic)) {
      if (when !== undefined && !called(when, event)) continue;
      const of = subject === undefined ? delivery.subject : called(subject, event);
      const start = {
        key: called(key, event) as string,
        data: (data === undefined ? event : called(data, event)) as SagaData,
        parent: null,
        subject: (of ?? undefined) as string | undefined,
      };
      const { created } = await engine.start({ session, handle: transaction }, definition, start);
      if (created) started.add(definition.type);
    }
    return started;
  }

  /** Applies it to every step that may wait for it, except those of sagas that it has just started. */
  async #hand(delivery: Delivery, payload: unknown, started: ReadonlySet<string>): Promise<void> {
    const { topic, session, subject } = delivery;
    const { engine, definitions } = this.dependencies;
    const messages: EncodedMessage[] = [];
    for (const waiter of definitions.waitersOf(topic)) {
      const match = started.has(waiter.type) ? undefined : this.#valueFor(waiter, delivery, payload);
      if (match === undefined) continue;
      const name = waiterOf(waiter.type, waiter.step, topic);
      const arrived = { topic, waiter: name, match, payload, subject, keepMs: this.#keepMs };
      const found = await engine.waits.take(session, arrived);
      if (found === undefined) continue;
      const event = { type: 'event', step: found.step, payload } as const;
      const dependencies = { outbox: this.#outbox, keys: engine.keys, subject };
      messages.push(await eventMessage(session, dependencies, found.sagaId, event));
    }
    if (messages.length > 0) await this.#outbox.publishEncoded(session, messages);
  }

  get #outbox(): Outbox {
    return this.dependencies.engine.outbox;
  }

  /** The value that identifies the saga of an event; undefined when it has none. */
  #valueFor({ type, step, by }: EventWaiter, delivery: Delivery, event: unknown): string | undefined {
    let why = 'it has no key';
    try {
      const value = by === undefined ? delivery.key : called(by, event);
      if (isName(value)) return value;
      if (value !== null || by !== undefined)
        why = 'its match value must be a string of 1 to 255 characters, without NUL';
    } catch (error) {
      why = describeError(error);
    }
    this.#skip(`step ${step} of ${type} gets no event of`, why, delivery);
    return undefined;
  }

  #skip(what: string, why: string, { topic, partition, offset }: Delivery): void {
    this.skipped += 1;
    const now = performance.now();
    if (now - this.#toldAt < LINE_MS) return;
    this.#toldAt = now;
    const all = `${this.skipped} were skipped in this process so far`;
    this.dependencies.logger.warn(`${what} ${topic}[${partition}]@${offset}: ${why}. ${all}`);
  }
}

/** The result of a definition's function for an event. A Promise is an error, and its rejection must not end the process. */
function called(of: (event: unknown) => unknown, event: unknown): unknown {
  const value = of(event);
  if (!types.isPromise(value)) return value;
  value.catch(() => {});
  throw new TypeError('it returned a Promise; it must return synchronously');
}
