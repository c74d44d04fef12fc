import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller } from '@nestjs/common';
import {
  ClientProxy,
  ClientsModule,
  Ctx,
  EventPattern,
  MessagePattern,
  Payload,
} from '@nestjs/microservices';
import {
  getWaybillToken,
  Waybill,
  WaybillClient,
  waybillClient,
  type WaybillContext,
  WaybillRecord,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { lastValueFrom } from 'rxjs';
import { Applications } from './application.js';

const heard: {
  topic: string;
  payload: unknown;
  metadata: Readonly<Record<string, string>>;
  key: string | null;
}[] = [];

@Controller()
class Listener {
  @EventPattern<string>('said')
  said(@Payload() payload: unknown, @Ctx() context: WaybillContext): void {
    heard.push({ topic: context.getPattern(), payload, metadata: context.getMetadata(), key: context.key });
  }

  @MessagePattern<string>('echo')
  echo(@Payload() payload: unknown, @Ctx() context: WaybillContext): unknown {
    return { payload, trace: context.getMetadata()['trace'] ?? null };
  }
}

let apps: Applications;
beforeEach(async () => {
  heard.length = 0;
  apps = await Applications.create('said', 'echo');
});
afterEach(() => apps.close());

test('emit publishes its message, or logs why it did not', async () => {
  const errors: string[] = [];
  const quiet = (): void => {};
  const logger = { debug: quiet, info: quiet, warn: quiet, error: (line: string) => void errors.push(line) };
  const app = await apps.start('strict', [], { logger });
  // No caller awaits it, and no caller catches what it throws.
  app.get(WaybillClient).emit('said', 1);
  await waitUntil(() => errors.length === 1, { describe: 'a line about the refusal' });
  expect(errors[0]).toContain('client.emit("said") failed: TransactionRequiredError');
  expect(await apps.fixture.value('select count(*)::int from waybill.outbox')).toBe(0);
});

test('emit opens its own transaction only if configured to, and joins an open one either way', async () => {
  const app = await apps.start('free', [Listener], { client: { requireTransaction: false } });
  const client = app.get(WaybillClient);
  await lastValueFrom(client.emit('said', new WaybillRecord({ n: 1 }, { key: 'k' })));
  const lost = app.get(Waybill).transaction(async () => {
    await lastValueFrom(client.emit('said', { n: 2 }));
    throw new Error('changed my mind');
  });
  await expect(lost).rejects.toThrow('changed my mind');
  await lastValueFrom(client.emit('said', { n: 3 }));
  await waitUntil(() => heard.length === 2, { describe: 'both events arrive' });
  expect(heard.map(({ payload }) => payload)).toEqual(expect.arrayContaining([{ n: 1 }, { n: 3 }]));
  expect(heard.find(({ key }) => key === 'k')?.payload).toEqual({ n: 1 });
});

test("what the dispatch hook attaches is sent as headers; the caller's headers take precedence", async () => {
  const app = await apps.start('hooked', [Listener], { client: { requireTransaction: false } });
  const client = app.get(WaybillClient);
  client.setOnDispatchHook((packet) => {
    packet.metadata = { trace: 't1', tenant: 'blue' };
  });
  await lastValueFrom(client.emit('said', new WaybillRecord('x', { headers: { tenant: 'red' } })));
  expect(await lastValueFrom(client.send('echo', 'y'))).toEqual({ payload: 'y', trace: 't1' });
  await waitUntil(() => heard.length === 1, { describe: 'the event arrives' });
  expect(heard[0]?.metadata).toEqual({ trace: 't1', tenant: 'red' });
});

test('serializers turn packets into payloads and back, on both sides', async () => {
  const app = await apps.start('wrapped', [Listener], {
    client: {
      requireTransaction: false,
      serializer: {
        serialize: async ({ data, ...packet }) =>
          new WaybillRecord(
            { wrapped: data as unknown },
            { headers: { asked: 'id' in packet ? 'yes' : 'no' } },
          ),
      },
      deserializer: {
        deserialize: ({ answer }: { answer: unknown }) => ({ id: '', response: { unwrapped: answer } }),
      },
    },
    server: {
      serializer: { serialize: ({ response, isDisposed }) => ({ answer: response as unknown, isDisposed }) },
      deserializer: {
        deserialize: async ({ wrapped }: { wrapped: unknown }, options) => ({
          pattern: options?.['channel'] as string,
          data: wrapped,
        }),
      },
    },
  });
  const client = app.get(WaybillClient);
  expect(await lastValueFrom(client.send('echo', new WaybillRecord('z', { key: 'k' })))).toEqual({
    unwrapped: { payload: 'z', trace: null },
  });
  await lastValueFrom(client.emit('said', new WaybillRecord('w', { key: 'k' })));
  await waitUntil(() => heard.length === 1, { describe: 'the event arrives' });
  expect(heard[0]).toMatchObject({ payload: 'w', key: 'k', metadata: { asked: 'no' } });
});

test('ClientsModule creates clients for an injected instance, or for the instance of a given name', async () => {
  const injected = ClientsModule.registerAsync({
    clients: [
      {
        name: 'INJECTED',
        inject: [getWaybillToken(Waybill)],
        useFactory: (waybill: Waybill) => waybillClient(waybill, { requireTransaction: false }),
      },
    ],
  });
  const named = ClientsModule.register([
    { name: 'NAMED', customClass: WaybillClient, options: { requireTransaction: false } },
    { name: 'NOBODY', customClass: WaybillClient, options: { instance: 'nobody' } },
  ]);
  const app = await apps.start('clients', [Listener], { imports: [injected, named] });
  for (const token of ['INJECTED', 'NAMED']) {
    const client = app.get<ClientProxy>(token);
    expect(await lastValueFrom(client.send('echo', token))).toEqual({ payload: token, trace: null });
    await lastValueFrom(client.emit('said', token));
  }
  await waitUntil(() => heard.length === 2, { describe: 'an event from each' });
  const nobody = lastValueFrom(app.get<ClientProxy>('NOBODY').send('echo', 1));
  await expect(nobody).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    problems: [expect.stringContaining('no instance named "nobody"')],
  });
  // With a second application in the process the name is ambiguous.
  await apps.start('another', []);
  const other = lastValueFrom(new WaybillClient().send('echo', 1));
  await expect(other).rejects.toMatchObject({
    problems: [expect.stringContaining('2 instances named "default"')],
  });
});

test('a client reports its states, and gives up its requests when it is closed', async () => {
  const app = await apps.start('states', []);
  const client = new WaybillClient({ waybill: app.get(Waybill) });
  const states: string[] = [];
  client.status.subscribe((state) => states.push(state));
  const events: string[] = [];
  client.on('connected', () => void events.push('connected'));
  client.on('disconnected', () => void events.push('disconnected'));
  const asked = lastValueFrom(client.send('echo', 1)).catch((error: unknown) => error);
  await waitUntil(async () => (await apps.fixture.value('select count(*)::int from waybill.outbox')) === 1, {
    describe: 'the request is published',
  });
  client.close();
  expect(await asked).toMatchObject({ code: 'NOT_RUNNING' });
  expect({ states, events }).toEqual({
    states: ['connected', 'disconnected'],
    events: ['connected', 'disconnected'],
  });
  expect(client.unwrap()).toBe(app.get(Waybill));
});

test('unknown options of clients and requests are refused by name', async () => {
  expect(() => new WaybillClient({ timeoutMs: 1, requireTransaction: 7 as never })).toThrow(
    /timeoutMs must be a whole number from 10[^]*requireTransaction must be true or false/,
  );
  expect(() => new WaybillClient({ serializer: {} as never })).toThrow(
    /serializer must have a method serialize/,
  );
  const app = await apps.start('refused', []);
  const asked = lastValueFrom(app.get(WaybillClient).send('echo', new WaybillRecord(1, { timeoutMs: 0 })));
  await expect(asked).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
});
