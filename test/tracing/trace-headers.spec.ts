import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { context, propagation } from '@opentelemetry/api';
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern } from '@nestjs/microservices';
import { Outbox, Waybill, type WaybillContext } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { Applications } from '../transport/application.js';
import { Recorder } from './recorder.js';

type Headers = Readonly<Record<string, string>>;

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

@Controller()
class Relays {
  static outbox: Outbox;
  static seen: { readonly headers: Headers; readonly tenant: string | undefined }[] = [];

  @EventPattern<string>('first')
  async pass(): Promise<void> {
    await Relays.outbox.publish({ topic: 'second', payload: null });
  }

  @EventPattern<string>('second')
  note(@Ctx() { headers }: WaybillContext): void {
    const tenant = propagation.getBaggage(context.active())?.getEntry('tenant')?.value;
    Relays.seen.push({ headers, tenant });
  }
}

let applications: Applications;
beforeEach(async () => {
  Relays.seen = [];
  applications = await Applications.create('first', 'second');
});
afterEach(() => applications.close());

const start = async (...args: Parameters<Applications['start']>): Promise<Waybill> => {
  const app = await applications.start(...args);
  Relays.outbox = app.get(Outbox);
  return app.get(Waybill);
};

/** Publishes to `first`, and returns what the handler of `second` sees. */
const travel = async (waybill: Waybill, headers: Headers): Promise<(typeof Relays.seen)[number]> => {
  const before = Relays.seen.length;
  await waybill.transaction(async (_, outbox) => {
    outbox.publish({ topic: 'first', payload: null, headers });
  });
  await waitUntil(() => Relays.seen.length > before, { describe: () => 'the second handler has run' });
  return Relays.seen.at(-1)!;
};

const incoming: Headers = { traceparent, tracestate: 'a=1', baggage: 'tenant=7,card=4000', other: 'x' };

describe.each([
  ['where the application has no API', false],
  ['where the API has no SDK', true],
])('%s', (_, hasApi) => {
  test('handlers work, and the trace of a message is passed on unchanged', async () => {
    const waybill = await start('shop', [Relays], { tracing: { baggage: ['tenant'] } });
    if (!hasApi) await waybill.tracing.find(async () => undefined);
    expect((await travel(waybill, incoming)).headers).toEqual({
      traceparent,
      tracestate: 'a=1',
      baggage: 'tenant=7',
    });
    expect((await travel(waybill, { other: 'x' })).headers).toEqual({});
  });
});

test('with an SDK the trace continues with its own span, and handlers see the baggage', async () => {
  const recorder = new Recorder();
  try {
    const waybill = await start('shop', [Relays], { tracing: { process: 'parent', baggage: ['tenant'] } });
    const { headers, tenant } = await travel(waybill, incoming);
    const [, traceId, spanId] = headers['traceparent']?.split('-') ?? [];
    const published = await recorder.one('publish second');
    expect([traceId, spanId]).toEqual([traceparent.split('-')[1], published.spanContext().spanId]);
    expect(headers).toEqual({
      traceparent: expect.any(String),
      tracestate: 'a=1',
      baggage: 'tenant=7',
    });
    expect(tenant).toBe('7');
  } finally {
    await recorder.close();
  }
});
