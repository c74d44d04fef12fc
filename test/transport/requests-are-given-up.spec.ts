import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { DeadLetters, Waybill, WaybillClient, type WaybillContext, WaybillRecord } from '@waybill/nestjs';
import { nameBasedId } from '@waybill/kernel/internal';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { finalize, lastValueFrom, NEVER, type Observable } from 'rxjs';
import { Applications } from './application.js';

type Context = WaybillContext<pg.PoolClient>;

@Controller()
class Kitchen {
  static begun: string[] = [];
  static ended: string[] = [];
  static isOpen = false;
  static signal: AbortSignal;

  @MessagePattern<string>('cook', { concurrency: 'partition' })
  async cook(@Payload() dish: string, @Ctx() context: Context): Promise<string> {
    Kitchen.signal = context.signal;
    Kitchen.begun.push(dish);
    await context.transaction.query('insert into effect (consumer, attempt) values ($1, 1)', [dish]);
    if (dish === 'stew') await aborted(context.signal);
    if (dish === 'roast') await waitUntil(() => Kitchen.isOpen, { describe: 'the kitchen opens' });
    Kitchen.ended.push(dish);
    return dish;
  }

  @MessagePattern<string>('serve')
  serve(): Observable<string> {
    Kitchen.begun.push('serving');
    return NEVER.pipe(finalize(() => Kitchen.ended.push('serving')));
  }
}

/** Never resolves; rejects when the signal aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

let apps: Applications;
let kitchen: INestMicroservice;
let client: WaybillClient;
beforeEach(async () => {
  Kitchen.begun = [];
  Kitchen.ended = [];
  Kitchen.isOpen = false;
  apps = await Applications.create('cook', 'serve');
  kitchen = await apps.start('kitchen', [Kitchen]);
  client = (await apps.start('guest', [])).get(WaybillClient);
});
afterEach(async () => {
  Kitchen.isOpen = true;
  await apps.close();
});

const begun = (dish: string): Promise<void> =>
  waitUntil(() => Kitchen.begun.includes(dish), { describe: `${dish} has started` });
const dropped = (): number => kitchen.get(Waybill).consumerStatus?.counts.dropped ?? 0;

test('a handler that stops when its caller gives up is rolled back, and the next request runs', async () => {
  const asked = client.send('cook', 'stew').subscribe();
  await begun('stew');
  asked.unsubscribe();
  expect(await lastValueFrom(client.send('cook', 'soup'))).toBe('soup');
  expect(Kitchen.begun).toEqual(['stew', 'soup']);
  expect(await apps.effects('stew')).toBe(0);
  expect(await apps.effects('soup')).toBe(1);
  expect(dropped()).toBe(1);
  expect(await kitchen.get(DeadLetters).list()).toEqual([]);
});

test('a handler that continues after its caller has given up is rolled back when it ends', async () => {
  const asked = client.send('cook', 'roast').subscribe();
  await begun('roast');
  asked.unsubscribe();
  await waitUntil(() => Kitchen.signal.aborted, { describe: "the handler's signal aborts" });
  Kitchen.isOpen = true;
  expect(await lastValueFrom(client.send('cook', 'soup'))).toBe('soup');
  expect(Kitchen.ended).toEqual(['roast', 'soup']);
  expect(await apps.effects('roast')).toBe(0);
  expect(dropped()).toBe(1);
});

test('knowing the id of a request is not enough to cancel it: any login may send notes', async () => {
  const asked = lastValueFrom(client.send('cook', 'roast'));
  await begun('roast');
  const id = await apps.fixture.value<string>(
    `select control->>'waybill-request-id' from waybill.outbox where topic = 'cook'`,
  );
  const thief = apps.fixture.signals;
  thief.start();
  thief.notes.send(`request-cancelled:${id}`);
  // A valid note, sent later: once that has arrived, so has the forged one.
  thief.notes.send('request-cancelled:a-secret');
  const { cancellations } = kitchen.get(Waybill);
  await waitUntil(() => cancellations.has(nameBasedId('request a-secret')), {
    describe: 'both notes have arrived',
  });
  await thief.stop();
  expect(cancellations.has(id)).toBe(false);
  expect(Kitchen.signal.aborted).toBe(false);
  Kitchen.isOpen = true;
  expect(await asked).toBe('roast');
});

test('a request that is given up before its turn does not run', async () => {
  const first = lastValueFrom(client.send('cook', 'roast'));
  await begun('roast');
  const second = client.send('cook', 'cake').subscribe();
  let cake = '';
  await waitUntil(
    async () => {
      const { rows } = await apps.fixture.database.pool.query<{ id: string }>(
        `select control->>'waybill-request-id' as id from waybill.outbox where topic = 'cook' order by outbox.id`,
      );
      cake = rows[1]?.id ?? '';
      return cake !== '';
    },
    { describe: 'the cake is published' },
  );
  second.unsubscribe();
  await waitUntil(() => kitchen.get(Waybill).cancellations.has(cake), {
    describe: 'the kitchen has the cancellation',
  });
  const third = lastValueFrom(client.send('cook', 'soup'));
  Kitchen.isOpen = true;
  expect(await Promise.all([first, third])).toEqual(['roast', 'soup']);
  expect(Kitchen.begun).toEqual(['roast', 'soup']);
  expect(dropped()).toBe(1);
});

test('a stream is released when its caller gives up, or its time is over', async () => {
  const asked = client.send('serve', {}).subscribe();
  await begun('serving');
  asked.unsubscribe();
  await waitUntil(() => Kitchen.ended.length === 1, { describe: 'the first stream is released' });
  const late = lastValueFrom(client.send('serve', new WaybillRecord({}, { timeoutMs: 500 })));
  await expect(late).rejects.toMatchObject({ code: 'REQUEST_TIMED_OUT' });
  await waitUntil(() => Kitchen.ended.length === 2, { describe: 'the second stream is released' });
  await waitUntil(() => dropped() === 2, { describe: 'both are dropped' });
  expect(Kitchen.begun).toEqual(['serving', 'serving']);
});
