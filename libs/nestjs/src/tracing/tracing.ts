import { AsyncLocalStorage } from 'node:async_hooks';
import type {
  AttemptOutcome,
  Delivery,
  Handling,
  PatternSubscription,
  Subscription,
} from '@waybill/consumer';
import type { TraceHeaders } from '@waybill/outbox';
import type { PassTrace, RelayTrace } from '@waybill/outbox/internal';
import type { SagaState } from '@waybill/saga';
import type { SagaTrace, TransitionToTrace } from '@waybill/saga/internal';
import { loadOpenTelemetry, type OpenTelemetry } from './open-telemetry.js';
import { RelayPass } from './relay-pass.js';
import { Spans } from './spans.js';
import { carriedOn, withinBaggageRule } from './trace-headers.js';
import { type ResolvedTracing, resolveTracing, type TracingOptions } from '../options/tracing-options.js';

/** The delivery whose handler runs, of any instance. */
const underWay = new AsyncLocalStorage<Delivery>();

/** The trace of a request in flight. */
export interface RequestTrace {
  /** Sends the request within its trace. */
  run<T>(work: () => T): T;
  /** Ends the trace: no more replies will arrive. */
  end(error?: unknown): void;
}

const NO_REQUEST_TRACE: RequestTrace = { run: (work) => work(), end() {} };

/**
 * Traces of one instance. If the application has `@opentelemetry/api`, it creates spans; otherwise it only passes the
 * trace of a delivery on unchanged.
 */
export class Tracing implements RelayTrace, SagaTrace {
  readonly #options: ResolvedTracing;
  #all: Spans | undefined;

  /** @throws ConfigurationError */
  constructor(
    options: TracingOptions | undefined,
    private readonly group: string,
  ) {
    this.#options = resolveTracing(options);
  }

  /** Loads `@opentelemetry/api`. Its types stay internal, so that Waybill's declarations do not require the package. */
  async find(load: () => Promise<object | undefined> = loadOpenTelemetry): Promise<void> {
    const api = (await load()) as OpenTelemetry | undefined;
    this.#all = api && new Spans(api, this.#options.process, this.group);
  }

  /** Undefined while they would do nothing. */
  get #spans(): Spans | undefined {
    return this.#all?.isOn === true ? this.#all : undefined;
  }

  /** Trace headers for a message that is being published. */
  readonly publishHeaders: TraceHeaders = (message, id) => {
    const own = this.#spans?.publish(message, id);
    if (own?.['traceparent'] !== undefined) return withinBaggageRule(own, this.#options.baggage);
    // No spans are created here, or they use headers other than W3C's.
    const carried = carriedOn(underWay.getStore()?.headers);
    return withinBaggageRule(own === undefined ? carried : { ...carried, ...own }, this.#options.baggage);
  };

  /** A subscription with traced deliveries: what a handler publishes belongs to the trace of its message. */
  readonly subscription = (subscription: Subscription): Subscription => ({
    ...subscription,
    handling: this.#handling(subscription.handling),
  });

  #handling(handling: Handling): Handling {
    if (handling.kind === 'batch') {
      const { handler } = handling;
      return {
        ...handling,
        // What it publishes may come from any of its messages: without a span of its own there is no trace to carry on.
        handler: (deliveries: readonly Delivery[]) => {
          const spans = this.#spans;
          return spans === undefined
            ? handler(deliveries)
            : spans.handleBatch(deliveries, () => handler(deliveries));
        },
      };
    }
    const { handler } = handling;
    const handle = (delivery: Delivery): Promise<unknown> =>
      underWay.run(delivery, handler, delivery) as Promise<unknown>;
    return {
      ...handling,
      handler: (delivery: Delivery) => {
        const spans = this.#spans;
        return spans === undefined ? handle(delivery) : spans.handle(delivery, () => handle(delivery));
      },
    };
  }

  /** The same as {@link subscription}, for subscriptions to all topics that match. */
  readonly pattern = ({ pattern, subscribe }: PatternSubscription): PatternSubscription => ({
    pattern,
    subscribe: (topic) => this.subscription(subscribe(topic)),
  });

  /** Records the outcome of a message that was not done in an attempt. */
  readonly settled = (outcome: AttemptOutcome): void => this.#spans?.settle(outcome);

  begin(): PassTrace | undefined {
    const spans = this.#spans;
    return spans && new RelayPass((seen) => spans.pass(seen));
  }

  /** Starts the trace of a request. */
  request(topic: string, id: string): RequestTrace {
    const spans = this.#spans;
    if (spans === undefined) return NO_REQUEST_TRACE;
    const { span, around } = spans.request(topic, id);
    return { run: (work) => spans.with(around, work), end: (error) => spans.end(span, error) };
  }

  transition<T>(
    about: TransitionToTrace,
    work: (reached: (state: SagaState) => void) => Promise<T>,
  ): Promise<T> {
    const spans = this.#spans;
    return spans === undefined ? work(() => {}) : spans.transition(about, work);
  }

  current(): string | undefined {
    return this.#spans?.current();
  }
}
