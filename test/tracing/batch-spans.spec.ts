import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { BatchFailure, Outbox, Waybill, type WaybillContext } from '@waybill/nestjs';
import { Applications } from '../transport/application.js';
import { idOf, kindOf, linksOf, parentOf, Recorder } from './recorder.js';

class OutOfStockError extends Error {}

@Controller()
class Orders {
  static outbox: Outbox;

  @EventPattern<string>('orders.placed', { batch: { max: 10 } })
  async placed(@Payload() orders: { n: number }[], @Ctx() { deliveries }: WaybillContext): Promise<void> {
    const failed = deliveries.findIndex(({ offset }) => offset === 12);
    if (failed >= 0) throw new BatchFailure(failed, new OutOfStockError('no stock'));
    if (orders.length === 4) await Orders.outbox.publish({ topic: 'orders.confirmed', payload: null });
  }
}

let recorder: Recorder;
let applications: Applications;
beforeEach(async () => {
  recorder = new Recorder();
  applications = await Applications.create('orders.placed', 'orders.confirmed');
});
afterEach(async () => {
  await applications.close();
  await recorder.close();
});

test('a call has one span, linked to the traces of its messages; the outcome of a failed one is its child', async () => {
  const publisher = await applications.start('web', [], { group: 'web' });
  const waybill = publisher.get(Waybill);
  for (let n = 0; n < 14; n += 1)
    await waybill.transaction(async (_, outbox) => {
      outbox.publish({ topic: 'orders.placed', key: 'key', payload: { n } });
    });
  const created = (await recorder.several('publish orders.placed', 14)).map(idOf);
  const app = await applications.start('shop', [Orders]);
  Orders.outbox = app.get(Outbox);

  const confirmed = await recorder.one('publish orders.confirmed');
  const processed = recorder.named('process orders.placed');
  const call = processed.find((span) => idOf(span) === parentOf(confirmed));
  expect(call).toBeDefined();
  if (call === undefined) return;
  expect(kindOf(call)).toBe('CONSUMER');
  expect(parentOf(call)).toBeUndefined();
  expect(call.attributes).toMatchObject({
    'messaging.operation.name': 'process',
    'messaging.destination.partition.id': '0',
    'messaging.consumer.group.name': 'shop',
    'messaging.batch.message_count': 4,
  });
  expect(linksOf(call)).toHaveLength(4);
  for (const link of linksOf(call)) expect(created).toContain(link);

  const letter = await recorder.one('dead-letter orders.placed');
  expect(letter.attributes).toMatchObject({
    'messaging.waybill.offset': 12,
    'error.type': 'OutOfStockError',
  });
  const attempts = recorder
    .named('process orders.placed')
    .filter(({ attributes }) => attributes['error.type'] !== undefined);
  expect(attempts.map(({ attributes }) => attributes['error.type'])).toContain('OutOfStockError');
  expect(attempts.map(idOf)).toContain(parentOf(letter));
});
