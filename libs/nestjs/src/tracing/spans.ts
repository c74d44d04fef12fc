import type { Context, ProxyTracerProvider, Span, Tracer } from '@opentelemetry/api';
import { type AttemptOutcome, BatchFailure, type Delivery, HandlerVerdict } from '@waybill/consumer';
import type { TraceHeaders } from '@waybill/outbox';
import type { SagaState } from '@waybill/saga';
import type { TransitionToTrace } from '@waybill/saga/internal';
import {
  conversation,
  delivered,
  deliveredTogether,
  errorType,
  operation,
  settled as settledAttributes,
  transition as transitionAttributes,
} from './attributes.js';
import type { OpenTelemetry } from './open-telemetry.js';
import type { PassSeen } from './relay-pass.js';
import { parseTraceparent } from './trace-headers.js';

/** The span of a failed attempt. */
interface FailedAttempt {
  readonly location: string;
  readonly span: Span;
}

const TRACER = '@waybill/nestjs';

/** Creates the spans of an instance with `@opentelemetry/api`. Without an SDK, they do nothing. */
export class Spans {
  readonly #tracer: Tracer;
  #isOn = false;
  /** By thrown error: the message's outcome is decided after the span has ended. */
  readonly #failed = new WeakMap<object, FailedAttempt>();

  constructor(
    private readonly api: OpenTelemetry,
    private readonly process: 'link' | 'parent',
    private readonly group: string,
  ) {
    this.#tracer = api.trace.getTracer(TRACER);
  }

  /** Whether the application has registered an SDK or a propagator. Without them spans and carriers stay empty. */
  get isOn(): boolean {
    if (this.#isOn) return true;
    const { trace, propagation } = this.api;
    const provider = trace.getTracerProvider() as Partial<ProxyTracerProvider>;
    this.#isOn =
      provider.getDelegateTracer === undefined ||
      provider.getDelegateTracer(TRACER) !== undefined ||
      propagation.fields().length > 0;
    return this.#isOn;
  }

  /** @returns the headers that identify the message's span */
  publish({ topic, partition, control }: Parameters<TraceHeaders>[0], id: string): Record<string, string> {
    const { context, propagation, SpanKind, trace } = this.api;
    const attributes = {
      ...operation('publish', 'create', topic),
      'messaging.message.id': id,
      ...(partition === undefined ? {} : { 'messaging.destination.partition.id': String(partition) }),
      ...conversation(control),
    };
    const active = context.active();
    const span = this.#tracer.startSpan(`publish ${topic}`, { kind: SpanKind.PRODUCER, attributes }, active);
    const carrier: Record<string, string> = {};
    propagation.inject(trace.setSpan(active, span), carrier);
    span.end();
    return carrier;
  }

  /** Runs a handler in its own span. */
  handle<T>(delivery: Delivery, work: () => Promise<T>): Promise<T> {
    const { propagation, ROOT_CONTEXT, SpanKind, trace } = this.api;
    const { topic, attempt } = delivery;
    const received = propagation.extract(ROOT_CONTEXT, delivery.headers);
    const creation = trace.getSpanContext(received);
    const isLinked = this.process === 'link';
    // Propagated values other than the trace, such as baggage, reach the handler in either case.
    const around = isLinked ? trace.deleteSpan(received) : received;
    const attributes = {
      ...operation('process', 'process', topic),
      ...delivered(this.group, delivery),
      'messaging.waybill.delivery.attempt': attempt,
    };
    const links = isLinked && creation !== undefined ? [{ context: creation }] : [];
    const options = { kind: SpanKind.CONSUMER, attributes, links };
    const span = this.#tracer.startSpan(`process ${topic}`, options, around);
    return this.#within(span, around, work, (outcome) => this.#note(span, delivery, outcome));
  }

  /** Runs a batch handler in a span of its own, which is linked to the traces of all its messages. */
  handleBatch<T>(deliveries: readonly Delivery[], work: () => Promise<T>): Promise<T> {
    const [first] = deliveries;
    if (first === undefined) return work();
    if (deliveries.length === 1) return this.handle(first, work);
    const { propagation, ROOT_CONTEXT, SpanKind, trace } = this.api;
    const links = deliveries.flatMap(({ headers }) => {
      const context = trace.getSpanContext(propagation.extract(ROOT_CONTEXT, headers));
      return context === undefined ? [] : [{ context }];
    });
    const attributes = {
      ...operation('process', 'process', first.topic),
      ...deliveredTogether(this.group, first.partition, deliveries.length),
    };
    const options = { kind: SpanKind.CONSUMER, attributes, links, root: true };
    const span = this.#tracer.startSpan(`process ${first.topic}`, options, ROOT_CONTEXT);
    return this.#within(span, ROOT_CONTEXT, work, (outcome) => {
      const failed = outcome instanceof BatchFailure ? deliveries[outcome.index] : undefined;
      if (failed !== undefined) this.#note(span, failed, outcome);
    });
  }

  /** A span for the outcome of a message that was not done, a child of the span of its attempt. */
  settle(outcome: AttemptOutcome): void {
    const { propagation, ROOT_CONTEXT, SpanKind, trace } = this.api;
    const { kind, topic, error, group, headers } = outcome;
    const attempt = typeof error === 'object' && error !== null ? this.#failed.get(error) : undefined;
    const own = attempt?.location === locationOf(outcome) ? attempt.span : undefined;
    const around = own === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, own);
    const creation = trace.getSpanContext(propagation.extract(ROOT_CONTEXT, headers));
    const attributes = {
      ...operation(kind, 'settle', topic),
      ...delivered(group, outcome),
      ...settledAttributes(outcome),
    };
    const links = creation === undefined ? [] : [{ context: creation }];
    const span = this.#tracer.startSpan(
      `${kind} ${topic}`,
      { kind: SpanKind.CLIENT, attributes, links },
      around,
    );
    if (kind === 'dead-letter') span.setStatus({ code: this.api.SpanStatusCode.ERROR });
    span.end();
  }

  /** The span of a relay pass that has ended. */
  pass({ startTime, links, messages, error }: PassSeen): void {
    const { ROOT_CONTEXT, SpanKind } = this.api;
    const attributes = { ...operation('send', 'send'), 'messaging.batch.message_count': messages };
    const linked = links.map((context) => ({ context }));
    const options = { kind: SpanKind.CLIENT, attributes, links: linked, startTime, root: true };
    const span = this.#tracer.startSpan('send', options, ROOT_CONTEXT);
    if (error !== undefined) this.#fail(span, error);
    span.end();
  }

  /** Starts the span of a request, which lasts until its reply. */
  request(topic: string, id: string): { readonly span: Span; readonly around: Context } {
    const { context, SpanKind, trace } = this.api;
    const active = context.active();
    const attributes = { ...operation('send', 'send', topic), 'messaging.message.conversation_id': id };
    const span = this.#tracer.startSpan(`send ${topic}`, { kind: SpanKind.CLIENT, attributes }, active);
    return { span, around: trace.setSpan(active, span) };
  }

  /** Ends a span, with the thrown error if any. */
  end(span: Span, error: unknown): void {
    if (error !== undefined) this.#fail(span, error);
    span.end();
  }

  /** Runs a transition of a saga in its own span. */
  transition<T>(
    about: TransitionToTrace,
    work: (reached: (state: SagaState) => void) => Promise<T>,
  ): Promise<T> {
    const active = this.api.context.active();
    const start = parseTraceparent(about.startedIn);
    const attributes = transitionAttributes(about);
    const links = start === undefined ? [] : [{ context: start }];
    const span = this.#tracer.startSpan(`saga ${about.type} ${about.step}`, { attributes, links }, active);
    const reached = (state: SagaState): void =>
      void span.setAttribute('messaging.waybill.saga.state', state.toLowerCase());
    return this.#within(span, active, () => work(reached));
  }

  /** The current span, as a `traceparent`. */
  current(): string | undefined {
    const { context, isSpanContextValid, trace } = this.api;
    const span = trace.getSpanContext(context.active());
    if (span === undefined || !isSpanContextValid(span)) return undefined;
    return `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`;
  }

  /** Runs work in a context. */
  with<T>(around: Context, work: () => T): T {
    return this.api.context.with(around, work);
  }

  /** @param ended called with the result or the error of the work while the span is open */
  #within<T>(
    span: Span,
    around: Context,
    work: () => Promise<T>,
    ended: (outcome: unknown) => void = () => {},
  ): Promise<T> {
    return this.with(this.api.trace.setSpan(around, span), async () => {
      try {
        const result = await work();
        ended(result);
        return result;
      } catch (error) {
        ended(error);
        if (!(error instanceof HandlerVerdict)) this.#fail(span, error);
        throw error;
      } finally {
        span.end();
      }
    });
  }

  /** Records a verdict, and the parent of the outcome's span. */
  #note(span: Span, delivery: Delivery, result: unknown): void {
    const outcome = causeOf(result);
    if (typeof outcome !== 'object' || outcome === null) return;
    if (outcome instanceof HandlerVerdict)
      span.addEvent('messaging.waybill.verdict', { 'messaging.waybill.verdict.kind': outcome.kind });
    else if (!(outcome instanceof Error)) return;
    this.#failed.set(outcome, { location: locationOf(delivery), span });
  }

  #fail(span: Span, error: unknown): void {
    span.setAttribute('error.type', errorType(causeOf(error)));
    span.setStatus({ code: this.api.SpanStatusCode.ERROR });
  }
}

/** What the failure of a batch is to the message that failed. */
function causeOf(error: unknown): unknown {
  return error instanceof BatchFailure ? error.cause : error;
}

function locationOf({ topic, partition, offset }: Pick<Delivery, 'topic' | 'partition' | 'offset'>): string {
  return `${topic}[${partition}]@${offset}`;
}
