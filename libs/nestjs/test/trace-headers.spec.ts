import { expect, test } from '@jest/globals';
import {
  carriedOn,
  parseTraceparent,
  traceparentIn,
  withinBaggageRule,
} from '../src/tracing/trace-headers.js';
import { resolveTracing } from '../src/options/tracing-options.js';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';
const traceparent = `00-${traceId}-${spanId}-01`;

test('finds a traceparent in the JSON of headers, and nothing that only looks like one', () => {
  expect(traceparentIn(JSON.stringify({ a: '1', traceparent }))).toBe(traceparent);
  expect(traceparentIn(`{"a": "1", "traceparent": "${traceparent}"}`)).toBe(traceparent);
  expect(traceparentIn(JSON.stringify({ note: JSON.stringify({ traceparent }) }))).toBeUndefined();
  expect(traceparentIn(JSON.stringify({ 'x-traceparent': traceparent }))).toBeUndefined();
});

test('a traceparent identifies a span, and an invalid one does not', () => {
  expect(parseTraceparent(traceparent)).toEqual({ traceId, spanId, traceFlags: 1, isRemote: true });
  for (const text of [undefined, '', traceparent.toUpperCase(), `${traceparent}-x`, traceparent.slice(1)])
    expect(parseTraceparent(text)).toBeUndefined();
});

test('passes a trace on with its headers, and only if there is one', () => {
  const headers = { traceparent, tracestate: 'a=1', baggage: 'b=2', other: 'c' };
  expect(carriedOn(headers)).toEqual({ traceparent, tracestate: 'a=1', baggage: 'b=2' });
  expect(carriedOn({ ...headers, traceparent: 'none' })).toEqual({});
  expect(carriedOn(undefined)).toEqual({});
});

test('passes baggage on as far as the rule and 8 KiB allow, member by member', () => {
  const baggage = 'tenant=7;ttl=1, user=ann,plan=gold';
  const headers = { traceparent, baggage };
  expect(withinBaggageRule(headers, true)).toEqual(headers);
  expect(withinBaggageRule(headers, false)).toEqual({ traceparent });
  expect(withinBaggageRule(headers, ['tenant', 'plan'])).toEqual({
    traceparent,
    baggage: 'tenant=7;ttl=1,plan=gold',
  });
  expect(withinBaggageRule(headers, ['nobody'])).toEqual({ traceparent });
  const large = `a=${'x'.repeat(5_000)},b=${'y'.repeat(5_000)},c=3`;
  expect(withinBaggageRule({ baggage: large }, true)).toEqual({ baggage: `a=${'x'.repeat(5_000)},c=3` });
});

test('refuses an invalid rule', () => {
  expect(resolveTracing(undefined)).toEqual({ process: 'link', baggage: true });
  for (const baggage of ['tenant', [1], [''], 8])
    expect(() => resolveTracing({ baggage: baggage as string[] })).toThrow(/baggage must be/);
  expect(() => resolveTracing({ process: 'child' as 'link' })).toThrow(/process must be/);
});
