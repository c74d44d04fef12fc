import 'reflect-metadata';
import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice, Module } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import {
  DeadLetters,
  HalfMessages,
  Recurring,
  Saga,
  saga,
  SagaCommand,
  sagaCommand,
  SagaParticipant,
  SagaRejectedError,
  Sagas,
  Waybill,
  WaybillClient,
  type WaybillContext,
  WaybillRecord,
} from '@waybill/nestjs';
import { MessageSignatures, type SigningOptions } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { lastValueFrom } from 'rxjs';
import { appendRaw } from '../support/raw-records.js';
import { Applications } from '../transport/application.js';

const secret = 'a secret of thirty-two bytes, or more';
const pair = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const other = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

const handled: unknown[] = [];

@Controller()
class Shop {
  @EventPattern<string>('orders')
  async order(@Payload() payload: unknown, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    handled.push(payload);
    await context.transaction.query('select 1');
  }

  @MessagePattern<string>('ask')
  ask(): string {
    return 'answer';
  }

  @MessagePattern<string>('fail')
  fail(): never {
    throw new Error('it cannot');
  }
}

const reserve = sagaCommand<{ item: string }, { shelf: number }>('stock.reserve');
const letGo = sagaCommand<{ item: string }>('stock.release');
const pay = sagaCommand<{ item: string }>('stock.pay');

@Saga()
class Ordering {
  readonly definition = saga<{ item: string }>('signed.order')
    .step('reserve', {
      invoke: reserve,
      with: ({ item }) => ({ item }),
      then: ({ shelf }) => ({ shelf }),
      undo: { invoke: letGo, with: ({ item }) => ({ item }) },
    })
    .step('pay', { invoke: pay, with: ({ item }) => ({ item }) })
    .build();
}

@SagaParticipant()
class Stock {
  @SagaCommand(reserve)
  reserve(): { shelf: number } {
    return { shelf: 7 };
  }

  @SagaCommand(letGo)
  release(): void {}

  @SagaCommand(pay)
  pay(@Payload() { item }: { item: string }): void {
    if (item === 'gold') throw new SagaRejectedError('too dear');
  }
}

@Module({ providers: [Ordering], controllers: [Stock] })
class OrderingModule {}

let apps: Applications;
beforeEach(async () => {
  handled.length = 0;
  apps = await Applications.create('orders', 'ask', 'fail', 'open');
});
afterEach(() => apps.close());

const both: SigningOptions = { keys: { shared: secret }, signWith: 'shared' };
const start = (signing: SigningOptions | undefined, group = 'shop'): Promise<INestMicroservice> =>
  apps.start(group, group === 'shop' ? [Shop] : [], {
    imports: group === 'shop' ? [{ module: OrderingModule }] : [],
    handlers: { retry: { immediateAttempts: 0, maxAttempts: 1 } },
    ...(signing === undefined ? {} : { signing }),
  });
const letters = async (app: INestMicroservice): Promise<(string | null)[]> =>
  (await app.get(DeadLetters).list()).map(({ errorClass }) => errorClass);
const untilHandled = (count: number): Promise<void> =>
  waitUntil(() => handled.length === count, {
    describe: () => `${count} are handled, ${handled.length} are`,
  });

test('signed messages are handled: immediate, delayed, half, recurring, and as a request', async () => {
  const app = await start(both);
  const waybill = app.get(Waybill);
  await apps.fixture.transaction(async (tx) => {
    await waybill.outbox.publish(tx, {
      topic: 'orders',
      key: 'ö',
      payload: { n: 1 },
      headers: { b: '2', a: '1' },
    });
    await waybill.outbox.publish(tx, { topic: 'orders', payload: { n: 2 }, delayMs: 10, ttlMs: 60_000 });
    await waybill.outbox.publishMany(tx, [
      { topic: 'orders', payload: { n: 3 } },
      { topic: 'orders', payload: null },
    ]);
  });
  const half = await app.get(HalfMessages).prepare({ topic: 'orders', payload: { n: 5 } });
  await app.get(HalfMessages).commit(half.id);
  await app.get(Recurring).put('tick', { topic: 'orders', payload: { n: 6 }, everyMs: 3_600_000 });
  await apps.fixture.database.pool.query('update waybill.timer set due_at = now() where kind = 2');
  await untilHandled(6);
  const client = app.get(WaybillClient);
  expect(await lastValueFrom(client.send('ask', new WaybillRecord(1, {})))).toBe('answer');
  await expect(lastValueFrom(client.send('fail', 1))).rejects.toMatchObject({ status: 'failed' });
  expect(await letters(app)).toHaveLength(1);
});

test('sagas use signed messages for commands, replies, rejections and compensations', async () => {
  const app = await start(both);
  const { definition } = app.get(Ordering);
  const begin = async (item: string): Promise<string> =>
    (
      await apps.fixture.transaction((tx) =>
        app.get(Sagas).start(tx, definition, { key: item, data: { item } }),
      )
    ).id;
  const ids = [await begin('book'), await begin('gold')];
  for (const [index, state] of ['COMPLETED', 'COMPENSATED'].entries())
    expect(await app.get(Sagas).outcome(ids[index] ?? '')).toMatchObject({ state });
  expect(await letters(app)).toEqual([]);
});

test('an unsigned or changed message becomes a dead letter before its handler runs', async () => {
  const app = await start(both);
  const waybill = app.get(Waybill);
  await waybill.outbox.publishAlone(waybill.database, {
    topic: 'orders',
    key: 'k',
    payload: { n: 1 },
    headers: { a: '1' },
  });
  await untilHandled(1);
  const [genuine] = await apps.fixture.log('orders');
  const { 'waybill-id': id = '', ...headers } = { ...genuine?.headers } as Record<string, string>;
  const signature = headers['waybill-signature'] ?? '';
  const unsigned = { ...headers };
  delete unsigned['waybill-signature'];
  const forged = [
    { key: 'k', headers: unsigned, value: { n: 1 } },
    // The same under another id: a replay.
    { key: 'k', headers, value: { n: 1 } },
    // Another id, followed by the signed one: which of them counts?
    { key: 'k', headers: { ...headers, 'waybill-id': id }, value: { n: 1 } },
    { key: 'k', headers, value: { n: 2 } },
    { key: 'j', headers, value: { n: 1 } },
    { key: 'k', headers: { ...headers, a: '2' }, value: { n: 1 } },
    { key: 'k', headers: { ...headers, b: '' }, value: { n: 1 } },
    { key: 'k', headers: { ...headers, 'waybill-reply-to': 'x.replies' }, value: { n: 1 } },
    {
      key: 'k',
      headers: { ...headers, 'waybill-signature': signature.replace('shared', 'other') },
      value: { n: 1 },
    },
    {
      key: 'k',
      headers: { ...headers, 'waybill-signature': signature.replace('v1.', 'v1r.') },
      value: { n: 1 },
    },
    {
      key: 'k',
      headers: { ...headers, 'waybill-signature': `v1.shared.${'A'.repeat(43)}` },
      value: { n: 1 },
    },
    {
      key: 'k',
      headers: { ...headers, 'waybill-signature': 'v1.constructor.AAAAAAAAAAAAAAAAAAAAAAAA' },
      value: { n: 1 },
    },
    { key: 'k', headers: { ...headers, 'waybill-signature': '' }, value: { n: 1 } },
  ];
  for (const { key, headers: given, value } of forged)
    await appendRaw(apps.fixture, [{ topic: 'orders', key, headers: given, value }]);
  await apps.fixture.database.pool.query(`select waybill.publish('orders', 'k', '{"n": 9}')`);
  await waitUntil(async () => (await letters(app)).length === forged.length + 1, {
    describe: 'all are dead letters',
  });
  expect(new Set(await letters(app))).toEqual(new Set(['SignatureInvalidError']));
  expect(handled).toEqual([{ n: 1 }]);
  expect(id).not.toBe('');
});

test('a key pair: the public key cannot sign, and each key signs only for its own topics', async () => {
  const signing = { keys: { shop: { publicKey: pair.publicKey, topics: ['orders'] } }, unsigned: ['ask'] };
  const app = await start(signing);
  const shop = new MessageSignatures({ keys: { shop: { privateKey: pair.privateKey } }, signWith: 'shop' });
  const thief = new MessageSignatures({ keys: { shop: { privateKey: other.privateKey } }, signWith: 'shop' });
  const { Outbox } = await import('@waybill/outbox');
  const { database } = apps.fixture;
  await new Outbox({ signatures: shop }).publishAlone(database, { topic: 'orders', payload: { n: 1 } });
  await untilHandled(1);
  await new Outbox({ signatures: thief }).publishAlone(database, { topic: 'orders', payload: { n: 2 } });
  await new Outbox({ signatures: shop }).publishAlone(database, { topic: 'fail', payload: { n: 3 } });
  await new Outbox().publishAlone(database, { topic: 'ask', payload: { n: 4 } });
  await waitUntil(async () => (await letters(app)).length === 2, { describe: 'both are dead letters' });
  expect(handled).toEqual([{ n: 1 }]);
});

test('an unsigned reply is ignored', async () => {
  const asker = await start(both, 'asker');
  const client = asker.get(WaybillClient);
  const answer = lastValueFrom(client.send<string>('ask', 1));
  await waitUntil(async () => (await apps.fixture.log('ask')).length === 1, {
    describe: 'the request is sent',
  });
  const [request] = await apps.fixture.log('ask');
  await appendRaw(apps.fixture, [
    {
      topic: 'asker.replies',
      key: request?.headers['waybill-reply-key'] ?? '',
      headers: {
        'waybill-request-id': request?.headers['waybill-request-id'] ?? '',
        'waybill-reply-status': 'done',
      },
      value: 'forged',
    },
  ]);
  await start(both);
  expect(await answer).toBe('answer');
});

describe('invalid keys are refused, and are not printed', () => {
  test.each<[string, unknown]>([
    ['none', { keys: {} }],
    ['a short secret', { keys: { a: 'short' } }],
    ['a key of another kind', { keys: { a: { publicKey: 'no PEM at all, but thirty-two bytes' } } }],
    ['nothing in it', { keys: { a: {} } }],
    ['an unknown option', { keys: { a: { secret, colour: 'red' } } }],
    ['a public key to sign with', { keys: { a: { publicKey: pair.publicKey } }, signWith: 'a' }],
    ['a key that does not exist', { keys: { a: secret }, signWith: 'constructor' }],
    ['an id that no header can carry', { keys: { 'a b': secret } }],
    ['another option', { keys: { a: secret }, key: 'a' }],
  ])('%s', (_, options) => {
    const make = (): unknown => new MessageSignatures(options as SigningOptions);
    expect(make).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID' }));
    expect(make).not.toThrow(/secret of thirty|PEM at all/);
  });
});
