import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ConflictException, Controller, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, MessagePattern, Payload, RpcException } from '@nestjs/microservices';
import {
  DeadLetters,
  RequestFailedError,
  Waybill,
  WaybillClient,
  type WaybillContext,
  WaybillRecord,
} from '@waybill/nestjs';
import { migrate } from '@waybill/schema';
import { testDatabase, waitUntil } from '@waybill/testing';
import pg from 'pg';
import {
  concat,
  finalize,
  lastValueFrom,
  NEVER,
  type Observable,
  of,
  range,
  throwError,
  toArray,
} from 'rxjs';
import { Applications } from './application.js';

type Context = WaybillContext<pg.PoolClient>;

const note = (context: Context, consumer: string): Promise<unknown> =>
  context.transaction.query('insert into effect (consumer, attempt) values ($1, $2)', [
    consumer,
    context.attempt,
  ]);

@Controller()
class Shelf {
  static calls = 0;
  static isOpen = false;
  static released = 0;

  @MessagePattern<string>('take')
  async take(@Payload() what: string, @Ctx() context: Context): Promise<unknown> {
    Shelf.calls += 1;
    await note(context, 'take');
    if (what === 'rpc') throw new RpcException({ code: 'SOLD_OUT', message: 'none left', left: 0 });
    if (what === 'http') throw new ConflictException({ message: 'taken', by: 'another' });
    if (what === 'lines') throw new RpcException('one\ntwo \ud83d');
    if (what === 'pg') {
      const password = Object.assign(new Error('no'), { code: '23505', password: 'secret' });
      throw password;
    }
    // Fails the statement, and so the transaction: the reply must be written after the savepoint.
    if (what === 'broken')
      await context.transaction.query('select 1 / 0').catch(() => {
        throw new RpcException('there is no such number');
      });
    return { taken: what };
  }

  @MessagePattern<string>('many')
  async many(@Payload() what: string, @Ctx() context: Context): Promise<unknown> {
    Shelf.calls += 1;
    await note(context, 'many');
    switch (what) {
      case 'stream':
        return range(1, 700);
      case 'none':
        return of();
      case 'iterable':
        return iterate();
      case 'null':
        return null;
      case 'refused':
        return concat(
          of('one', 'two'),
          throwError(() => new RpcException('no third')),
        );
      case 'retried':
        return context.attempt === 1
          ? concat(
              of('lost'),
              throwError(() => new Error('not yet')),
            )
          : of('a', 'b');
      case 'endless':
        return range(1, 10_000);
      default:
        return NEVER.pipe(finalize(() => (Shelf.released += 1)));
    }
  }

  @MessagePattern<string>('gate', { concurrency: 'partition' })
  async gate(@Payload() n: number, @Ctx() context: Context): Promise<number> {
    Shelf.calls += 1;
    if (n === 0) await waitUntil(() => Shelf.isOpen, { describe: 'the gate opens', timeoutMs: 20_000 });
    if (n === 9 && !context.isRedriven) throw new Error('not this time');
    await note(context, `gate ${n}`);
    return n;
  }
}

async function* iterate(): AsyncIterable<number> {
  yield 1;
  yield 2;
}

let apps: Applications;
beforeEach(async () => {
  Shelf.calls = 0;
  Shelf.isOpen = false;
  Shelf.released = 0;
  apps = await Applications.create('take', 'many', 'gate');
});
afterEach(async () => {
  Shelf.isOpen = true;
  await apps.close();
});

const send = (app: INestMicroservice, topic: string, data: unknown): Observable<unknown> =>
  app.get(WaybillClient).send(topic, data);
const failureOf = (asked: Promise<unknown>): Promise<RequestFailedError> =>
  asked.then(
    () => {
      throw new Error('it was answered well');
    },
    (error: unknown) => error as RequestFailedError,
  );
const serve = (controllers: Type[] = [Shelf], options = {}): Promise<INestMicroservice> =>
  apps.start('shelf', controllers, options);

describe('a handler error', () => {
  test('that rejects the request is sent back at once, typed, and rolls its writes back', async () => {
    await serve();
    const asker = await apps.start('asker', []);
    const refused = (what: string): Promise<RequestFailedError> =>
      failureOf(lastValueFrom(send(asker, 'take', what)));
    expect(await refused('rpc')).toMatchObject({
      code: 'REQUEST_FAILED',
      status: 'rejected',
      reason: 'RpcException: none left',
      remote: {
        name: 'RpcException',
        message: 'none left',
        code: 'SOLD_OUT',
        details: { code: 'SOLD_OUT', message: 'none left', left: 0 },
      },
    });
    expect((await refused('http')).remote).toEqual({
      name: 'ConflictException',
      message: 'taken',
      status: 409,
      details: { message: 'taken', by: 'another' },
    });
    // Text that no header can carry does not prevent the reply.
    expect((await refused('lines')).reason).toBe('RpcException: one two  ');
    expect((await refused('broken')).remote?.message).toBe('there is no such number');
    expect(Shelf.calls).toBe(4);
    expect(await apps.effects('take')).toBe(0);
    expect(await apps.fixture.deadLetters.list()).toEqual([]);
  });

  test('of any other kind is retried, and the reply for its dead letter tells the caller no internals', async () => {
    await serve();
    const asker = await apps.start('asker', []);
    const { status, reason, remote } = await failureOf(lastValueFrom(send(asker, 'take', 'pg')));
    const [letter] = await apps.fixture.deadLetters.list();
    const message = 'the service failed (23505); find the cause there by the correlation id';
    expect({ status, reason, remote }).toEqual({
      status: 'failed',
      reason: `InternalError: ${message}`,
      remote: { name: 'InternalError', message, code: '23505', correlationId: letter?.messageId },
    });
    expect(letter?.errorMessage).toBe('no');
    expect(Shelf.calls).toBe(3);
    expect(await apps.effects('take')).toBe(0);
  });
});

test('a dead letter gets its reply even if the caller’s service has never sent a request before', async () => {
  await serve();
  const first = await apps.start('asker', []);
  expect(await lastValueFrom(send(first, 'take', 'x'))).toEqual({ taken: 'x' });
  // Its reply topic is created when the handlers have long been running.
  const newcomer = await apps.start('newcomer', []);
  expect(await failureOf(lastValueFrom(send(newcomer, 'take', 'pg')))).toMatchObject({ status: 'failed' });
});

describe('a stream', () => {
  const all = (app: INestMicroservice, what: string): Promise<unknown> =>
    lastValueFrom(send(app, 'many', what).pipe(toArray()));

  test('replies value by value, in order, to its end, and takes effect once', async () => {
    await serve();
    const asker = await apps.start('asker', []);
    expect(await all(asker, 'stream')).toEqual(Array.from({ length: 700 }, (_, index) => index + 1));
    expect(await all(asker, 'none')).toEqual([]);
    expect(await all(asker, 'iterable')).toEqual([1, 2]);
    expect(await all(asker, 'null')).toEqual([null]);
    expect(await apps.effects('many')).toBe(4);
  });

  test('of an attempt that fails, or that ends in a rejection, reaches no caller', async () => {
    await serve();
    const asker = await apps.start('asker', []);
    expect(await all(asker, 'retried')).toEqual(['a', 'b']);
    const heard: unknown[] = [];
    const failure = await failureOf(
      new Promise((resolve, reject) => {
        send(asker, 'many', 'refused').subscribe({
          next: (value) => heard.push(value),
          error: reject,
          complete: () => resolve(undefined),
        });
      }),
    );
    expect({ heard, reason: failure.reason }).toEqual({ heard: [], reason: 'RpcException: no third' });
    expect(await apps.fixture.value(`select string_agg(attempt::text, ',') from effect`)).toBe('2');
  });

  test('with too many values becomes a dead letter', async () => {
    await serve([Shelf], { server: { streamMaxValues: 50 } });
    const asker = await apps.start('asker', []);
    const failure = await failureOf(all(asker, 'endless'));
    expect(failure).toMatchObject({ status: 'failed', remote: { name: 'NonRetryableError' } });
    const [letter] = await apps.fixture.deadLetters.list();
    expect(letter?.errorMessage).toContain('more than 50 values');
    expect(Shelf.calls).toBe(1);
  });
});

test('a service with a database of its own replies with values and rejections, and takes effect', async () => {
  const own = await testDatabase('shelf');
  const pool = new pg.Pool({ connectionString: own.connectionString });
  await migrate({ connectionString: own.connectionString, part: 'service' });
  await pool.query('create table effect (consumer text, attempt int)');
  const service = await serve([Shelf], {
    database: { connectionString: own.connectionString },
    bus: { connectionString: apps.fixture.url },
  });
  const asker = await apps.start('asker', []);
  const values = lastValueFrom(send(asker, 'many', 'retried').pipe(toArray()));
  expect(await values).toEqual(['a', 'b']);
  const rejected = await failureOf(lastValueFrom(send(asker, 'take', 'rpc')));
  expect(rejected.remote?.code).toBe('SOLD_OUT');
  const { rows } = await pool.query('select consumer, attempt from effect');
  expect(rows).toEqual([{ consumer: 'many', attempt: 2 }]);
  await service.close();
  await pool.end();
  await own.drop();
});

test('a stream that does not end in time is released in each attempt', async () => {
  await serve([Shelf], { handlers: { maxProcessingMs: 150, retry: { maxAttempts: 2, delayMs: 1 } } });
  const asker = await apps.start('asker', []);
  expect(await failureOf(lastValueFrom(send(asker, 'many', 'never')))).toMatchObject({
    status: 'failed',
    remote: { name: 'HandlerTimedOutError', code: 'HANDLER_TIMED_OUT' },
  });
  await waitUntil(() => Shelf.released === 2, { describe: 'both streams are unsubscribed from' });
});

describe('a request whose caller no longer waits', () => {
  test('does not run and counts as dropped; a later one, still in time, runs', async () => {
    const app = await serve();
    const asker = await apps.start('asker', []);
    const held = lastValueFrom(send(asker, 'gate', new WaybillRecord(0, { key: 'k' })));
    await waitUntil(() => Shelf.calls === 1, { describe: 'the first request is running' });
    const late = failureOf(
      lastValueFrom(send(asker, 'gate', new WaybillRecord(1, { key: 'k', timeoutMs: 400 }))),
    );
    expect(await late).toMatchObject({ code: 'REQUEST_TIMED_OUT', afterMs: 400 });
    // When the gate opens, its time is over by the database's clock as well.
    await waitUntil(
      () =>
        apps.fixture.value<boolean>(
          `select clock_timestamp() > max(created_at) + interval '400 ms' from waybill.outbox where control->>'waybill-request-timeout-ms' <> '30000'`,
        ),
      { describe: 'the second request is late' },
    );
    const inTime = lastValueFrom(send(asker, 'gate', new WaybillRecord(2, { key: 'k' })));
    Shelf.isOpen = true;
    expect(await Promise.all([held, inTime])).toEqual([0, 2]);
    expect([
      await apps.effects('gate 0'),
      await apps.effects('gate 1'),
      await apps.effects('gate 2'),
    ]).toEqual([1, 0, 1]);
    expect(app.get(Waybill).consumerStatus?.counts.dropped).toBe(1);
  });

  test('runs nonetheless when an operator redrives its dead letter', async () => {
    const app = await serve();
    const asker = await apps.start('asker', []);
    // By now the handlers are running, and this one fails in time.
    await lastValueFrom(send(asker, 'gate', 3));
    const failure = await failureOf(
      lastValueFrom(send(asker, 'gate', new WaybillRecord(9, { timeoutMs: 10_000 }))),
    );
    expect(failure).toMatchObject({ status: 'failed', remote: { name: 'InternalError' } });
    const letters = app.get(DeadLetters);
    await waitUntil(
      () =>
        apps.fixture.value<boolean>(
          `select clock_timestamp() > max(created_at) + interval '10 seconds' from waybill.outbox where topic = 'gate'`,
        ),
      { describe: 'the caller no longer waits' },
    );
    const [letter] = await letters.list();
    await letters.redrive(letter?.id ?? 0, { by: 'test' });
    await waitUntil(async () => (await apps.effects('gate 9')) === 1, {
      describe: 'the redriven request takes effect',
    });
  });

  test('is not even published when it was given up before', async () => {
    await serve();
    const asker = await apps.start('asker', []);
    const unwanted = send(asker, 'take', 'unwanted').subscribe();
    // By now it is being sent, and its reply topic is being created.
    await new Promise(setImmediate);
    unwanted.unsubscribe();
    const published = async (): Promise<number> =>
      apps.fixture.value(`select count(*)::int from waybill.outbox where topic = 'take'`);
    expect(await lastValueFrom(send(asker, 'take', 'wanted'))).toEqual({ taken: 'wanted' });
    expect(await published()).toBe(1);
  });

  test('fails when its process stops', async () => {
    await serve();
    const asker = await apps.start('asker', []);
    const asked = failureOf(lastValueFrom(send(asker, 'many', 'never')));
    await waitUntil(() => Shelf.calls === 1, { describe: 'the request is running' });
    await asker.close();
    expect(await asked).toMatchObject({ code: 'NOT_RUNNING' });
  });
});
