import { AsyncLocalStorage } from 'node:async_hooks';
import type { Delivery } from '@waybill/consumer';

const TRACE_HEADERS = ['traceparent', 'tracestate', 'baggage'] as const;
/** W3C Trace Context: version, trace id, parent id, flags. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

const current = new AsyncLocalStorage<Delivery>();

/** The part of `@opentelemetry/api` that is used where it is installed. */
interface OpenTelemetryApi {
  readonly context: { active(): unknown };
  readonly propagation: { inject(context: unknown, carrier: Record<string, string>): void };
}

let openTelemetry: OpenTelemetryApi | undefined;

/** Looks for `@opentelemetry/api`; without it the trace of a delivery is carried on as it came. */
export async function findOpenTelemetry(): Promise<void> {
  try {
    const name = '@opentelemetry/api';
    openTelemetry = (await import(name)) as OpenTelemetryApi;
  } catch {
    openTelemetry = undefined;
  }
}

/** Runs a handler so that what it publishes belongs to the trace of the message it handles. */
export function withinTraceOf<T>(delivery: Delivery, work: () => Promise<T>): Promise<T> {
  return current.run(delivery, work);
}

/** The W3C trace headers for a message that is published now. */
export function traceHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  openTelemetry?.propagation.inject(openTelemetry.context.active(), headers);
  if (headers['traceparent'] !== undefined) return headers;
  const incoming = current.getStore()?.headers;
  if (incoming === undefined || !TRACEPARENT.test(incoming['traceparent'] ?? '')) return {};
  const carried: Record<string, string> = {};
  for (const name of TRACE_HEADERS) {
    const value = incoming[name];
    if (value !== undefined) carried[name] = value;
  }
  return carried;
}
