import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { DeadLetters } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { lastValueFrom } from 'rxjs';
import { WaybillClient, WaybillRecord } from '@waybill/nestjs';
import { appendRaw } from '../support/raw-records.js';
import { Applications } from './application.js';

@Controller()
class Operations {
  static asked = 0;
  static told = 0;

  @MessagePattern<string>('ask')
  ask(): string {
    Operations.asked += 1;
    return 'answer';
  }

  @MessagePattern<string>('fail')
  fail(): never {
    Operations.asked += 1;
    throw new Error('it cannot');
  }

  @EventPattern<string>('tell')
  tell(): string {
    Operations.told += 1;
    return 'nobody asks';
  }

  @EventPattern<string>('tell-and-fail')
  tellAndFail(): never {
    Operations.told += 1;
    throw new Error('it cannot');
  }
}

let apps: Applications;
beforeEach(async () => {
  Operations.asked = 0;
  Operations.told = 0;
  apps = await Applications.create('ask', 'fail', 'tell', 'tell-and-fail');
  for (const topic of ['orders', 'payments', 'payments.saga-replies', 'other.replies'])
    await apps.fixture.topics.create(topic);
});
afterEach(() => apps.close());

const start = () =>
  apps.start('operations', [Operations], {
    handlers: { retry: { immediateAttempts: 0, maxAttempts: 1 } },
  });

const topicLength = async (topic: string): Promise<number> => (await apps.fixture.log(topic)).length;

test.each([
  ['that is a topic of events', 'orders'],
  ['that is a topic of commands', 'payments'],
  ['that does not exist', 'nowhere.replies'],
  ['that only looks like one', 'x.replies.orders'],
  ['that is not a valid name', 'a b/../.replies'],
])(
  'a request whose reply topic is one %s becomes a dead letter, and its handler does not run',
  async (_, to) => {
    const app = await start();
    const letters = app.get(DeadLetters);
    for (const topic of ['ask', 'fail'])
      await appendRaw(apps.fixture, [
        { topic, value: 1, headers: { 'waybill-reply-to': to, 'waybill-request-id': 'r' } },
      ]);
    await waitUntil(async () => (await letters.list()).length === 2, { describe: 'both are dead letters' });
    expect((await letters.list()).map(({ errorClass }) => errorClass)).toEqual([
      'ReplyTopicRefusedError',
      'ReplyTopicRefusedError',
    ]);
    expect(Operations.asked).toBe(0);
    expect([await topicLength('orders'), await topicLength('payments')]).toEqual([0, 0]);
  },
);

test('handlers of events send no reply, neither on success nor for a dead letter', async () => {
  const app = await start();
  const headers = {
    'waybill-reply-to': 'other.replies',
    'waybill-request-id': 'r',
    'reply-to': 'other.replies',
  };
  for (const topic of ['tell', 'tell-and-fail', 'tell'])
    await appendRaw(apps.fixture, [{ topic, value: 1, headers }]);
  await waitUntil(async () => Operations.told === 3 && (await app.get(DeadLetters).list()).length === 1, {
    describe: 'all were handled, and one failed',
  });
  await appendRaw(apps.fixture, [{ topic: 'ask', value: 1, headers }]);
  // After them, the reply topic holds the one reply that was asked for.
  await waitUntil(async () => (await topicLength('other.replies')) > 0, {
    describe: 'the reply is stored',
  });
  expect((await apps.fixture.log('other.replies')).map(({ payload }) => payload)).toEqual(['answer']);
});

test('a reply carries what identifies the request, and nothing else of it', async () => {
  await start();
  const headers = {
    'waybill-reply-to': 'other.replies',
    'waybill-reply-key': 'k',
    'waybill-request-id': 'r',
    'waybill-saga-event': 'cancel',
    'waybill-signature': 'v1.k.x',
    'waybill-expires-at': String(Date.now() + 60_000),
    'waybill-anything': 'x',
    'my-own': 'x',
    authorization: 'secret',
  };
  await appendRaw(apps.fixture, [{ topic: 'ask', value: 1, headers }]);
  await waitUntil(async () => (await topicLength('other.replies')) > 0, {
    describe: 'the reply is stored',
  });
  const [answer] = await apps.fixture.log('other.replies');
  expect(Object.keys(answer?.headers ?? {}).toSorted()).toEqual([
    'waybill-id',
    'waybill-reply-status',
    'waybill-request-id',
  ]);
  expect(answer?.key).toBe('k');
});

test("a client's own headers reach the handler, and may have any name that Waybill does not reserve", async () => {
  await start();
  const asker = await apps.start('asker', []);
  const client = asker.get(WaybillClient);
  const asked = client.send<string>(
    'ask',
    new WaybillRecord(1, { headers: { 'reply-to': 'orders', 'saga-id': 'x' } }),
  );
  expect(await lastValueFrom(asked)).toBe('answer');
  const reserved = client.send('ask', new WaybillRecord(1, { headers: { 'waybill-reply-to': 'orders' } }));
  await expect(lastValueFrom(reserved)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
});
