import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import {
  type CloudEvent,
  cloudEventOf,
  Outbox,
  Recurring,
  WaybillClient,
  WaybillContext,
  WaybillRecord,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { type CloudEvent as KnownEvent, Kafka } from 'cloudevents';
import { lastValueFrom } from 'rxjs';
import { z } from 'zod';
import type { LoggedRecord } from '../support/fixture.js';
import { Applications, type ApplicationOptions } from '../transport/application.js';

let seen: (CloudEvent | undefined)[];

@Controller()
class Orders {
  @EventPattern<string>('orders')
  handle(@Payload() _payload: unknown, @Ctx() context: WaybillContext): void {
    seen.push(cloudEventOf(context));
  }

  @MessagePattern<string>('sum')
  sum(@Payload() numbers: number[]): number {
    return numbers.reduce((total, number) => total + number);
  }
}

let applications: Applications;
beforeEach(async () => {
  seen = [];
  applications = await Applications.create('orders', 'sum');
});
afterEach(() => applications.close());

const start = (options: ApplicationOptions = {}) =>
  applications.start('shop', [Orders], {
    cloudEvents: { source: '/shop/orders', type: ({ topic }) => `com.example.${topic}` },
    ...options,
  });

/** The record as a Kafka client would see it, read by the CloudEvents library. */
function known({ headers, key, payload }: LoggedRecord): KnownEvent {
  const value = JSON.stringify(payload);
  const message = { headers, key, value, body: value, timestamp: '0' };
  expect(Kafka.isEvent(message)).toBe(true);
  const event = Kafka.toEvent(message) as KnownEvent;
  expect(event.validate()).toBe(true);
  return event;
}

test('a message is a CloudEvent to any reader, and its handler reads it as one', async () => {
  const uri = 'https://example.com/order.json';
  const app = await start({ schemas: { orders: { schema: z.object({ n: z.number() }), uri } } });
  const { id } = await applications.fixture.transaction((tx) =>
    app.get(Outbox).publish(tx, {
      topic: 'orders',
      key: 'k',
      payload: { n: 1 },
      headers: { ce_subject: 'o-1', ce_region: 'eu', colour: 'blue' },
    }),
  );
  await waitUntil(() => seen.length === 1, { describe: 'the event arrives' });
  const [record] = await applications.fixture.log();
  const event = known(record as LoggedRecord);
  expect(event).toMatchObject({
    specversion: '1.0',
    id,
    source: '/shop/orders',
    type: 'com.example.orders',
    subject: 'o-1',
    region: 'eu',
    dataschema: uri,
    datacontenttype: 'application/json',
    partitionkey: 'k',
    data: { n: 1 },
  });
  expect(Math.abs(Date.parse(event.time ?? '') - Date.now())).toBeLessThan(60_000);
  const { time, specversion, source, type, subject, dataschema, datacontenttype } = event;
  expect(seen[0]).toEqual({
    specversion,
    id,
    source,
    type,
    time,
    subject,
    dataschema,
    datacontenttype,
    extensions: { region: 'eu' },
    data: { n: 1 },
  });
});

test('each run of a recurring message is a separate event, and putting it again changes nothing', async () => {
  const app = await start();
  const put = () => app.get(Recurring).put('hourly', { topic: 'orders', payload: { n: 1 }, everyMs: 1_000 });
  expect([await put(), await put()]).toEqual([true, false]);
  await waitUntil(() => seen.length >= 2, { describe: 'two runs arrive' });
  const events = (await applications.fixture.log()).map((record) => known(record));
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect(events.map(({ id }) => id)).toEqual((await applications.fixture.log()).map(({ id }) => id));
});

test('a reply is a separate event from its request', async () => {
  const app = await start();
  const asked = new WaybillRecord([1, 2], { headers: { ce_subject: 'o-1' } });
  expect(await lastValueFrom(app.get(WaybillClient).send('sum', asked))).toBe(3);
  const events = [await applications.fixture.log('sum'), await applications.fixture.log('shop.replies')]
    .flat()
    .map((record) => known(record));
  expect(events.map(({ type, subject }) => ({ type, subject }))).toEqual([
    { type: 'com.example.sum', subject: 'o-1' },
    { type: 'com.example.shop.replies', subject: undefined },
  ]);
  expect(new Set(events.map(({ id }) => id)).size).toBe(2);
});

test('what is not an event is not read as one, and invalid options are refused', async () => {
  expect(cloudEventOf({ headers: { ce_id: '1' }, payload: 1 })).toBeUndefined();
  const cloudEvents = { source: 'a b', typ: 1 } as never;
  expect(() => new Outbox({ cloudEvents })).toThrow('did you mean type?');
  for (const type of [() => '', () => 'a\nb', () => 1 as never]) {
    const outbox = new Outbox({ cloudEvents: { source: '/shop', type } });
    expect(() => outbox.encode({ topic: 'orders', payload: 1 })).toThrow('its type as a CloudEvent');
  }
  await expect(start({ cloudEvents })).rejects.toThrow('cloudEvents.source must be a URI or a path');
});
