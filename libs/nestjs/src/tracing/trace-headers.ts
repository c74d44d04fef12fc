import type { BaggageRule } from '../options/tracing-options.js';

const TRACE_HEADERS = ['traceparent', 'tracestate', 'baggage'] as const;
const BAGGAGE_HEADER = 'baggage';
/** Maximum size of the baggage that a message carries, in bytes. */
const MAX_BAGGAGE_BYTES = 8 * 1024;
/** W3C Trace Context: version, trace id, parent id, flags. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
/** A header in a row's JSON. Quotation marks inside strings are escaped, so only a header matches. */
const TRACEPARENT_IN_JSON = /"traceparent": ?"([0-9a-f-]{55})"/;

type Headers = Readonly<Record<string, string>>;

const NONE: Headers = Object.freeze({});

/** A remote span, as identified by `traceparent`. */
export interface RemoteSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly isRemote: true;
}

/** @returns undefined if the string identifies no span */
export function parseTraceparent(text: string | undefined): RemoteSpan | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(text ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/** The `traceparent` among headers in JSON. */
export function traceparentIn(json: string): string | undefined {
  return TRACEPARENT_IN_JSON.exec(json)?.[1];
}

/** The trace headers of the current message, for messages that its handler publishes. */
export function carriedOn(incoming: Headers | undefined): Headers {
  if (incoming === undefined || !TRACEPARENT.test(incoming['traceparent'] ?? '')) return NONE;
  const carried: Record<string, string> = {};
  for (const name of TRACE_HEADERS) {
    const value = incoming[name];
    if (value !== undefined) carried[name] = value;
  }
  return carried;
}

/** The headers with as much of their baggage as the limit allows: whole members, in order. */
export function withinBaggageRule(headers: Headers, rule: BaggageRule): Headers {
  const baggage = headers[BAGGAGE_HEADER];
  if (baggage === undefined) return headers;
  const kept: string[] = [];
  let bytes = 0;
  for (const member of rule === false ? [] : baggage.split(',')) {
    const name = member.slice(0, Math.max(0, member.indexOf('='))).trim();
    if (typeof rule === 'object' && !rule.includes(name)) continue;
    const more = Buffer.byteLength(member) + 1;
    if (bytes + more > MAX_BAGGAGE_BYTES) continue;
    bytes += more;
    kept.push(member);
  }
  const { [BAGGAGE_HEADER]: _, ...others } = headers;
  return kept.length === 0 ? others : { ...others, [BAGGAGE_HEADER]: kept.join(',') };
}
