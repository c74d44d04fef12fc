import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { waitUntil } from '@waybill/testing';

/** OpenTelemetry's SDK as an application sets it up, with an exporter that keeps spans. */
export class Recorder {
  readonly #exporter = new InMemorySpanExporter();
  readonly #provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#exporter)] });

  constructor() {
    trace.setGlobalTracerProvider(this.#provider);
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(
      new CompositePropagator({
        propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
      }),
    );
  }

  get spans(): ReadableSpan[] {
    return this.#exporter.getFinishedSpans();
  }

  named(name: string): ReadableSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  /** Waits for the only span of a name. */
  async one(name: string): Promise<ReadableSpan> {
    const [span] = await this.several(name, 1);
    return span as ReadableSpan;
  }

  /** Waits for `count` spans of a name, in the order in which they ended. */
  async several(name: string, count: number): Promise<ReadableSpan[]> {
    await waitUntil(() => this.named(name).length >= count, {
      describe: () =>
        `${count} spans ${name} have ended; there are ${this.spans.map((span) => span.name).join(', ') || 'none'}`,
    });
    return this.named(name);
  }

  /** Runs work in a span of the application. */
  within<T>(name: string, work: () => Promise<T>): Promise<T> {
    return trace.getTracer('application').startActiveSpan(name, async (span) => {
      try {
        return await work();
      } finally {
        span.end();
      }
    });
  }

  async close(): Promise<void> {
    trace.disable();
    context.disable();
    propagation.disable();
    await this.#provider.shutdown();
  }
}

/** Id of a span within its trace. */
export function idOf(span: ReadableSpan): string {
  const { traceId, spanId } = span.spanContext();
  return `${traceId}/${spanId}`;
}

/** Id of a span's parent; undefined for the root of a trace. */
export function parentOf(span: ReadableSpan): string | undefined {
  const parent = span.parentSpanContext;
  return parent && `${parent.traceId}/${parent.spanId}`;
}

/** Ids of the spans that a span links to. */
export function linksOf(span: ReadableSpan): string[] {
  return span.links.map(({ context: { traceId, spanId } }) => `${traceId}/${spanId}`);
}

/** The name of a span's kind. */
export function kindOf(span: ReadableSpan): string {
  return SpanKind[span.kind];
}
