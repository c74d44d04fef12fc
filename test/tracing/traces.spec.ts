import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SpanStatusCode } from '@opentelemetry/api';
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import {
  HalfMessages,
  Outbox,
  retryIn,
  Saga,
  saga,
  SagaCommand,
  sagaCommand,
  SagaParticipant,
  Sagas,
  Waybill,
  WaybillClient,
  type WaybillContext,
} from '@waybill/nestjs';
import type pg from 'pg';
import { lastValueFrom } from 'rxjs';
import { Applications } from '../transport/application.js';
import { idOf, kindOf, linksOf, parentOf, Recorder } from './recorder.js';

/** Neither may appear in any span. */
const SECRET = 'card 4000-1234';
const KEY = 'customer-77';

class OutOfStockError extends Error {}

@Controller()
class Orders {
  static outbox: Outbox;
  static failures = 0;

  @EventPattern<string>('orders.placed')
  async confirm(): Promise<void> {
    await Orders.outbox.publish({ topic: 'orders.confirmed', key: KEY, payload: SECRET });
  }

  @EventPattern<string>('orders.confirmed')
  note(): void {}

  @EventPattern<string>('orders.failing')
  fail(): void {
    throw new OutOfStockError(`no stock for ${SECRET}`);
  }

  @EventPattern<string>('orders.later')
  later(@Ctx() { attempt, offset }: WaybillContext): unknown {
    Orders.failures += 1;
    return attempt === 1 && Orders.failures === 1 ? retryIn(offset) : undefined;
  }
}

@Controller()
class Prices {
  @MessagePattern<string>('prices.ask')
  price(@Payload() item: string): { item: string; pence: number } {
    return { item, pence: 5 };
  }
}

const reserve = sagaCommand<{ orderId: string }>('stock.reserve');
const pack = sagaCommand<{ orderId: string }>('stock.pack');

@Saga()
class PlaceOrder {
  readonly definition = saga<{ orderId: string }>('orders.place')
    .step('reserve', { invoke: reserve, with: ({ orderId }) => ({ orderId }) })
    .step('pack', { invoke: pack, with: ({ orderId }) => ({ orderId }) })
    .build();
}

@SagaParticipant()
class Stock {
  @SagaCommand(reserve)
  reserve(): void {}

  @SagaCommand(pack)
  pack(): void {}
}

const TOPICS = ['orders.placed', 'orders.confirmed', 'orders.failing', 'orders.later', 'prices.ask'];

let recorder: Recorder;
let applications: Applications;
beforeEach(async () => {
  Orders.failures = 0;
  recorder = new Recorder();
  applications = await Applications.create(...TOPICS);
});
afterEach(async () => {
  await applications.close();
  await recorder.close();
});

const start = async (...args: Parameters<Applications['start']>) => {
  const app = await applications.start(...args);
  Orders.outbox = app.get(Outbox);
  return app;
};

const place = (waybill: Waybill, topic = 'orders.placed'): Promise<void> =>
  recorder.within('checkout', () =>
    waybill.transaction(async (_, outbox) => {
      outbox.publish({ topic, key: KEY, payload: SECRET });
    }),
  );

describe('traces', () => {
  test('a message is published in the span around it, and handled in a trace that links to it', async () => {
    const app = await start('shop', [Orders]);
    await place(app.get(Waybill));
    const handled = await recorder.one('process orders.confirmed');
    const [checkout, published, confirming, confirmed] = await Promise.all(
      ['checkout', 'publish orders.placed', 'process orders.placed', 'publish orders.confirmed'].map((name) =>
        recorder.one(name),
      ),
    );
    expect([parentOf(published!), kindOf(published!)]).toEqual([idOf(checkout!), 'PRODUCER']);
    expect([parentOf(confirming!), kindOf(confirming!)]).toEqual([undefined, 'CONSUMER']);
    expect(linksOf(confirming!)).toEqual([idOf(published!)]);
    expect(confirming!.spanContext().traceId).not.toBe(published!.spanContext().traceId);
    expect(parentOf(confirmed!)).toBe(idOf(confirming!));
    expect([parentOf(handled), linksOf(handled)]).toEqual([undefined, [idOf(confirmed!)]]);
    const messageId = published!.attributes['messaging.message.id'];
    expect(published!.attributes).toEqual({
      'messaging.system': 'waybill',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'create',
      'messaging.destination.name': 'orders.placed',
      'messaging.message.id': expect.any(String),
    });
    expect(confirming!.attributes).toEqual({
      'messaging.system': 'waybill',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'orders.placed',
      'messaging.destination.partition.id': '0',
      'messaging.consumer.group.name': 'shop',
      'messaging.message.id': messageId,
      'messaging.waybill.offset': 0,
      'messaging.waybill.delivery.attempt': 1,
    });
    expect(confirming!.status.code).toBe(SpanStatusCode.UNSET);
  });

  test('a pass of the relay links to the messages that it has moved', async () => {
    const app = await start('shop', [Orders], { relay: false });
    const waybill = app.get(Waybill);
    await recorder.within('checkout', () =>
      waybill.transaction(async (_, outbox) => {
        for (let n = 0; n < 150; n += 1) outbox.publish({ topic: 'orders.confirmed', payload: n });
      }),
    );
    const other = await start('other', [], { consumer: false });
    const pass = await recorder.one('send');
    const published = recorder.named('publish orders.confirmed');
    expect(pass.attributes).toEqual({
      'messaging.system': 'waybill',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.batch.message_count': 150,
    });
    expect([parentOf(pass), kindOf(pass)]).toEqual([undefined, 'CLIENT']);
    expect(linksOf(pass)).toEqual(published.slice(0, 128).map(idOf));
    await other.close();
  });

  test("a handler may be a child of its message's span instead", async () => {
    const app = await start('shop', [Orders], { tracing: { process: 'parent' } });
    await place(app.get(Waybill));
    const handled = await recorder.one('process orders.confirmed');
    const confirmed = await recorder.one('publish orders.confirmed');
    const confirming = await recorder.one('process orders.placed');
    const published = await recorder.one('publish orders.placed');
    expect(parentOf(handled)).toBe(idOf(confirmed));
    expect(parentOf(confirmed)).toBe(idOf(confirming));
    expect(parentOf(confirming)).toBe(idOf(published));
    expect([linksOf(handled), linksOf(confirming)]).toEqual([[], []]);
  });

  test("spans of failed attempts have the error's class, and what happens to the message is under them", async () => {
    const app = await start('shop', [Orders]);
    await place(app.get(Waybill), 'orders.failing');
    const dead = await recorder.one('dead-letter orders.failing');
    const attempts = recorder.named('process orders.failing');
    const published = await recorder.one('publish orders.failing');
    expect(attempts.map(({ attributes }) => attributes['messaging.waybill.delivery.attempt'])).toEqual([
      1, 2, 3,
    ]);
    for (const { attributes, status, events } of attempts) {
      expect(attributes['error.type']).toBe('OutOfStockError');
      expect([status, events]).toEqual([{ code: SpanStatusCode.ERROR }, []]);
    }
    const retries = recorder.named('retry orders.failing');
    expect(retries.map(parentOf)).toEqual(attempts.slice(0, 2).map(idOf));
    expect(parentOf(dead)).toBe(idOf(attempts[2]!));
    expect(linksOf(dead)).toEqual([idOf(published)]);
    expect(dead.status.code).toBe(SpanStatusCode.ERROR);
    expect(dead.attributes).toMatchObject({
      'messaging.operation.name': 'dead-letter',
      'messaging.operation.type': 'settle',
      'messaging.destination.name': 'orders.failing',
      'messaging.waybill.delivery.attempt': 3,
      'error.type': 'OutOfStockError',
    });
    expect(
      JSON.stringify(recorder.spans.map(({ attributes, events, status }) => [attributes, events, status])),
    ).not.toMatch(new RegExp(`${SECRET}|${KEY}`));
  });

  test('a handler that asks for a message later has not failed', async () => {
    const app = await start('shop', [Orders]);
    await place(app.get(Waybill), 'orders.later');
    const [first, second] = await recorder.several('process orders.later', 2);
    const retry = await recorder.one('retry orders.later');
    expect(first!.events.map(({ name, attributes }) => [name, attributes])).toEqual([
      ['messaging.waybill.verdict', { 'messaging.waybill.verdict.kind': 'retry' }],
    ]);
    expect([first!.status.code, second!.status.code]).toEqual([SpanStatusCode.UNSET, SpanStatusCode.UNSET]);
    expect(parentOf(retry)).toBe(idOf(first!));
    expect(retry.attributes).not.toHaveProperty(['error.type']);
  });

  test("a request's span lasts until the reply, and its message is under it", async () => {
    const app = await start('shop', [Prices]);
    const client = app.get(WaybillClient);
    await recorder.within('checkout', () => lastValueFrom(client.send('prices.ask', 'tea')));
    const asked = await recorder.one('send prices.ask');
    const [checkout, published, answering] = await Promise.all(
      ['checkout', 'publish prices.ask', 'process prices.ask'].map((name) => recorder.one(name)),
    );
    const answer = await recorder.one('publish shop.replies');
    expect([parentOf(asked), kindOf(asked)]).toEqual([idOf(checkout!), 'CLIENT']);
    expect(parentOf(published!)).toBe(idOf(asked));
    expect(linksOf(answering!)).toEqual([idOf(published!)]);
    expect(parentOf(answer)).toBe(idOf(answering!));
    const id = asked.attributes['messaging.message.conversation_id'];
    expect(id).toEqual(expect.any(String));
    for (const span of [published!, answering!, answer])
      expect(span.attributes['messaging.message.conversation_id']).toBe(id);
    const failing = client.send('prices.ask', 'tea');
    await expect(
      lastValueFrom(
        new WaybillClient({ waybill: app.get(Waybill), timeoutMs: 10 }).send('orders.none', 'tea'),
      ),
    ).rejects.toThrow();
    expect((await recorder.one('send orders.none')).status.code).toBe(SpanStatusCode.ERROR);
    await lastValueFrom(failing);
  });

  test('every transition of a saga links to its start, and its commands are under them', async () => {
    const app = await start('orders', [Stock], {
      imports: [{ module: class {}, providers: [PlaceOrder] }],
    });
    const waybill = app.get(Waybill);
    const { id } = await recorder.within('checkout', () =>
      waybill.transaction((tx: pg.PoolClient) =>
        app.get(Sagas).start(tx, app.get(PlaceOrder).definition, { key: KEY, data: { orderId: SECRET } }),
      ),
    );
    expect((await app.get(Sagas).outcome(id)).state).toBe('COMPLETED');
    const transition = await recorder.one('saga orders.place reserve');
    const [checkout, begun, command, serving, answer, heard] = await Promise.all(
      [
        'checkout',
        'saga orders.place start',
        'publish stock.reserve',
        'process stock.reserve',
        'publish orders.saga-replies',
        'process orders.saga-replies',
      ].map((name) => recorder.one(name)),
    );
    expect([parentOf(begun!), linksOf(begun!)]).toEqual([idOf(checkout!), []]);
    expect(parentOf(command!)).toBe(idOf(begun!));
    expect(linksOf(serving!)).toEqual([idOf(command!)]);
    expect(parentOf(answer!)).toBe(idOf(serving!));
    expect(linksOf(heard!)).toEqual([idOf(answer!)]);
    expect([parentOf(transition), linksOf(transition)]).toEqual([idOf(heard!), [idOf(begun!)]]);
    expect(kindOf(transition)).toBe('INTERNAL');
    const last = await recorder.one('saga orders.place pack');
    expect(linksOf(last)).toEqual([idOf(begun!)]);
    expect(last.attributes['messaging.waybill.saga.state']).toBe('completed');
    expect(transition.attributes).toEqual({
      'messaging.system': 'waybill',
      'messaging.message.conversation_id': id,
      'messaging.waybill.saga.id': id,
      'messaging.waybill.saga.type': 'orders.place',
      'messaging.waybill.saga.state': 'running',
    });
    expect(begun!.attributes['messaging.waybill.saga.state']).toBe('running');
    for (const span of [command!, serving!, answer!, heard!])
      expect(span.attributes['messaging.waybill.saga.id']).toBe(id);
    expect(recorder.named('publish stock.reserve')).toHaveLength(1);
  });

  test('half messages and timers are published in their spans, and the spans of their handlers link to them', async () => {
    const app = await start('shop', [Orders]);
    const payload = SECRET;
    await recorder.within('checkout', async () => {
      const half = await app.get(HalfMessages).prepare([{ topic: 'orders.confirmed', payload }]);
      await app.get(HalfMessages).commit(half.id);
    });
    const first = await recorder.one('process orders.confirmed');
    await recorder.within('checkout', () =>
      app.get(Waybill).transaction(async (_, outbox) => {
        outbox.publish({ topic: 'orders.confirmed', payload, delayMs: 50 });
      }),
    );
    const [, second] = await recorder.several('process orders.confirmed', 2);
    const published = recorder.named('publish orders.confirmed');
    expect([linksOf(first), linksOf(second!)]).toEqual(published.map((span) => [idOf(span)]));
    expect(published.map(parentOf)).toEqual(recorder.named('checkout').map(idOf));
  });
});
