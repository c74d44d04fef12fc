import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import {
  Idempotent,
  NestOutboxDeserializer,
  type NestOutboxMessage,
  Waybill,
  type WaybillContext,
  WaybillOutboxTransport,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { Applications } from '../transport/application.js';

interface Seen {
  readonly payload: unknown;
  readonly key: string | null;
  readonly messageId: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

@Controller()
class Orders {
  static seen: Seen[] = [];

  @EventPattern<string>('orders.placed')
  @Idempotent({ guard: 'message-id' })
  note(@Payload() payload: unknown, @Ctx() { key, messageId, headers }: WaybillContext): void {
    Orders.seen.push({ payload, key, messageId, headers });
  }
}

/** What the relay of `@nestjs/outbox` passes on: its `OutboxMessage`. */
const message = (id: string): NestOutboxMessage & Readonly<Record<string, unknown>> => ({
  id,
  topic: 'orders.placed',
  payload: { orderId: 'o1' },
  headers: { tenant: '7' },
  key: 'o1',
  createdAt: Date.UTC(2026, 10, 21),
  availableAt: Date.UTC(2026, 10, 21),
  attempts: 1,
  lastError: null,
});

const UUID = '01a20004-2d63-75d7-b809-9c883ec4204a';
const signal = new AbortController().signal;

let applications: Applications;
let app: INestMicroservice;
beforeEach(async () => {
  Orders.seen = [];
  applications = await Applications.create('orders.placed');
  class Transports {}
  app = await applications.start('orders', [Orders], {
    server: { deserializer: new NestOutboxDeserializer() },
    imports: [{ module: Transports, providers: [WaybillOutboxTransport] }],
  });
});
afterEach(() => applications.close());

const done = (count: number): Promise<void> =>
  waitUntil(() => app.get(Waybill).consumerStatus?.counts.done === count, {
    describe: () => `${count} messages have arrived, not ${Orders.seen.length}`,
  });

test('a message of @nestjs/outbox arrives with its id, key and headers, and takes effect once if sent twice', async () => {
  const transport = app.get(WaybillOutboxTransport);
  await transport.publish(message(UUID), { signal });
  await transport.publish(message(UUID), { signal });
  await done(2);
  expect(Orders.seen).toEqual([
    {
      payload: { orderId: 'o1' },
      key: 'o1',
      messageId: UUID,
      headers: { tenant: '7', 'created-at': '2026-11-21T00:00:00.000Z' },
    },
  ]);
});

test('an id that is not a UUID maps to a UUID, the same each time', async () => {
  const transport = app.get(WaybillOutboxTransport);
  for (const id of ['order-1', 'order-1', 'order-2']) await transport.publish(message(id), { signal });
  await done(3);
  expect(new Set(Orders.seen.map(({ messageId }) => messageId)).size).toBe(2);
  expect(Orders.seen).toHaveLength(2);
});

test('a message that the relay has given up is not written', async () => {
  const given = AbortSignal.abort(new Error('given up'));
  await expect(app.get(WaybillOutboxTransport).publish(message(UUID), { signal: given })).rejects.toThrow(
    'given up',
  );
  await expect(
    app.get(WaybillOutboxTransport).publish({ ...message(UUID), topic: 'nowhere' }, { signal }),
  ).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
  expect(await applications.fixture.value('select count(*)::integer from waybill.outbox')).toBe(0);
});

test('a handler accepts an envelope as it is, and a plain payload as well', async () => {
  const { id, topic, key, headers, createdAt, payload } = message(UUID);
  const envelope = { id, topic, key, headers, createdAt, payload };
  await app.get(Waybill).transaction(async (_, outbox) => {
    for (const given of [envelope, { orderId: 'o2' }, null]) outbox.publish({ topic, key, payload: given });
  });
  await done(3);
  expect(Orders.seen.map((seen) => seen.payload)).toEqual([{ orderId: 'o1' }, { orderId: 'o2' }, null]);
});
