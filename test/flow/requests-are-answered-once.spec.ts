import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  Body,
  Controller,
  Get,
  HttpException,
  type INestApplication,
  NotFoundException,
  Post,
  Res,
  StreamableFile,
} from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  getRequestGuardToken,
  IdempotencyInterceptor,
  IdempotencyKey,
  IdempotentRequest,
  type LeaseGuard,
  WaybillModule,
  type WaybillModuleOptions,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { of } from 'rxjs';
import { Fixture } from '../support/fixture.js';
import { describeWithRedis } from '../support/timers.js';

/** What ran, by its number; and what a handler is to wait for, or throw. */
const ran: number[] = [];
let gate: Promise<void> = Promise.resolve();
let failure: unknown;

@Controller('orders')
class Orders {
  @Post()
  @IdempotentRequest()
  async place(@Body() { n }: { n: number }, @IdempotencyKey() key: string): Promise<unknown> {
    ran.push(n);
    await gate;
    if (failure !== undefined) throw failure;
    return { n, key, run: ran.length };
  }

  @Post(':id/pay')
  @IdempotentRequest({ caller: (request) => String(request.headers['x-shop']) })
  pay(
    @Body() { n }: { n: number },
    @Res({ passthrough: true }) response: { status(code: number): void },
  ): unknown {
    ran.push(n);
    response.status(202);
    return [n];
  }

  @IdempotentRequest({ required: false })
  @Post('notes')
  note(@Body() { n }: { n: number }): void {
    ran.push(n);
  }

  @IdempotentRequest()
  @Post('file')
  file(): StreamableFile {
    ran.push(1);
    return new StreamableFile(Buffer.from('x'));
  }

  @Get()
  all(): number[] {
    return ran;
  }
}

interface Answered {
  readonly status: number;
  readonly replayed: string | null;
  readonly retryAfter: string | null;
  readonly body: unknown;
}

let fixture: Fixture;
let app: INestApplication;
beforeEach(async () => {
  ran.length = 0;
  gate = Promise.resolve();
  failure = undefined;
  fixture = await Fixture.create();
});
afterEach(async () => {
  await app.close();
  await fixture.close();
});

const start = async (options: Partial<WaybillModuleOptions> = {}, providers: never[] = []): Promise<void> => {
  const imports = [
    WaybillModule.forRoot({ database: { connectionString: fixture.url }, relay: false, ...options }),
  ];
  const module = await Test.createTestingModule({ imports, controllers: [Orders], providers }).compile();
  app = module.createNestApplication({ logger: false });
  await app.listen(0, '127.0.0.1');
};
const post = async (
  path: string,
  key: string | undefined,
  body: unknown = { n: 1 },
  headers: Record<string, string> = {},
): Promise<Answered> => {
  const response = await fetch(`${await app.getUrl()}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...headers,
    },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return {
    status: response.status,
    replayed: response.headers.get('idempotency-replayed'),
    retryAfter: response.headers.get('retry-after'),
    body: text === '' ? undefined : JSON.parse(text),
  };
};

/** What must hold wherever the guard keeps its leases. */
async function holdsFor(options: Partial<WaybillModuleOptions>): Promise<void> {
  await start(options);
  const first = await post('/orders', 'k1');
  expect(first).toEqual({ status: 201, replayed: null, retryAfter: null, body: { n: 1, key: 'k1', run: 1 } });
  expect(await post('/orders', 'k1')).toEqual({ ...first, replayed: 'true' });
  expect(await post('/orders', '"k1"')).toEqual({ ...first, replayed: 'true' });
  expect(await post('/orders', 'k1', { n: 2 })).toMatchObject({
    status: 422,
    body: { refusal: 'other-content' },
  });
  expect(await post('/orders?dry=1', 'k1')).toMatchObject({ status: 422 });
  let open = (): void => undefined;
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const slow = post('/orders', 'k2', { n: 3 });
  await waitUntil(() => ran.includes(3), { describe: 'it runs' });
  expect(await post('/orders', 'k2', { n: 3 })).toMatchObject({
    status: 409,
    retryAfter: expect.stringMatching(/^[1-9]\d?$/),
    body: { refusal: 'in-progress' },
  });
  open();
  expect(await slow).toMatchObject({ status: 201, body: { n: 3 } });
  expect(await post('/orders', 'k2', { n: 3 })).toMatchObject({ status: 201, replayed: 'true' });
  expect(ran).toEqual([1, 3]);
}

describe('a request with an Idempotency-Key', () => {
  test('is answered once, by PostgreSQL', () => holdsFor({}));

  describeWithRedis('with Redis', (redis) => {
    test('is answered once', () => holdsFor({ redis: redis().url }));
    test('is answered once, with PostgreSQL behind it', () =>
      holdsFor({ redis: redis().url, guards: { withoutRedis: 'postgres' } }));
  });

  test('runs once when it comes many times at once', async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 30 }, () => post('/orders', 'k')));
    expect(ran).toEqual([1]);
    expect(answers.filter(({ status }) => status === 201).length).toBeGreaterThan(0);
    expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true);
  });

  test('belongs to its caller, its method and its path; an own option says who asks', async () => {
    await start();
    const basic = { authorization: 'Basic YTpi' };
    expect((await post('/orders', 'k')).replayed).toBeNull();
    expect((await post('/orders', 'k', { n: 1 }, basic)).replayed).toBeNull();
    expect((await post('/orders', 'k', { n: 1 }, basic)).replayed).toBe('true');
    const paid = await post('/orders/7/pay', 'k', { n: 1 }, { 'x-shop': 'a' });
    expect(paid).toMatchObject({ status: 202, replayed: null, body: [1] });
    expect(await post('/orders/7/pay', 'k', { n: 1 }, { 'x-shop': 'a' })).toEqual({
      ...paid,
      replayed: 'true',
    });
    expect((await post('/orders/7/pay', 'k', { n: 1 }, { 'x-shop': 'b' })).replayed).toBeNull();
    expect((await post('/orders/8/pay', 'k', { n: 1 }, { 'x-shop': 'a' })).replayed).toBeNull();
    expect(ran).toHaveLength(5);
  });

  test.each([
    [undefined, 'missing'],
    ['', 'malformed'],
    ['a b', 'malformed'],
    ['x'.repeat(256), 'malformed'],
  ])('that is missing or unusable is refused: %s', async (key, refusal) => {
    await start();
    expect(await post('/orders', key)).toMatchObject({ status: 400, body: { statusCode: 400, refusal } });
    expect(ran).toEqual([]);
  });

  test('may be left out where it is not required', async () => {
    await start();
    expect(await post('/orders/notes', undefined)).toMatchObject({ status: 201, replayed: null });
    expect(await post('/orders/notes', 'k')).toMatchObject({ status: 201, replayed: null, body: undefined });
    expect(await post('/orders/notes', 'k')).toMatchObject({
      status: 201,
      replayed: 'true',
      body: undefined,
    });
    expect(ran).toEqual([1, 1]);
  });

  test('gets a refusal of the handler again, and runs again after a failure', async () => {
    await start();
    failure = new NotFoundException('there is no such article');
    const refused = await post('/orders', 'k');
    expect(refused).toMatchObject({ status: 404, body: { message: 'there is no such article' } });
    failure = undefined;
    expect(await post('/orders', 'k')).toEqual({ ...refused, replayed: 'true' });
    for (const thrown of [
      new Error('broken'),
      new HttpException('later', 429),
      new HttpException('away', 503),
    ]) {
      failure = thrown;
      expect((await post('/orders', 'k3', { n: 3 })).status).toBeGreaterThan(428);
    }
    failure = undefined;
    expect(await post('/orders', 'k3', { n: 3 })).toMatchObject({ status: 201, replayed: null });
    expect(ran).toEqual([1, 3, 3, 3, 3]);
    expect(await post('/orders/file', 'f')).toMatchObject({ status: 500 });
  });

  test('is refused while Redis is away, and nothing runs', async () => {
    await start({ redis: 'redis://127.0.0.1:1' });
    expect(await post('/orders', 'k')).toMatchObject({
      status: 503,
      retryAfter: '1',
      body: { refusal: 'unavailable' },
    });
    expect(ran).toEqual([]);
  });

  test('guards a whole application, within which other requests pass', async () => {
    const guarding = {
      provide: APP_INTERCEPTOR,
      inject: [getRequestGuardToken()],
      useFactory: (guard: LeaseGuard) => new IdempotencyInterceptor(guard, { required: false }),
    };
    await start({}, [guarding as never]);
    expect(await (await fetch(`${await app.getUrl()}/orders`)).json()).toEqual([]);
    await post('/orders/notes', 'k');
    expect(await post('/orders/notes', 'k')).toMatchObject({ replayed: 'true' });
    expect(ran).toEqual([1]);
  });

  test('is answered once with requests and replies as Fastify makes them', async () => {
    await start();
    const interceptor = new IdempotencyInterceptor(app.get(getRequestGuardToken()));
    const answer = async (): Promise<unknown> => {
      const headers: Record<string, string> = {};
      const reply = {
        statusCode: 202,
        status: (code: number) => (reply.statusCode = code),
        header: () => reply,
      };
      reply.header = ((name: string, value: string) => {
        headers[name] = value;
        return reply;
      }) as never;
      const request = { method: 'POST', url: '/a?b=c', headers: { 'idempotency-key': 'k' }, body: null };
      const http = { getRequest: () => request, getResponse: () => reply };
      const execution = { getType: () => 'http', switchToHttp: () => http };
      const body = await new Promise((resolve, reject) => {
        interceptor
          .intercept(execution as never, { handle: () => of({ run: ran.push(1) }) })
          .subscribe({ next: resolve, error: reject });
      });
      return { status: reply.statusCode, headers, body };
    };
    expect(await answer()).toEqual({ status: 202, headers: {}, body: { run: 1 } });
    expect(await answer()).toEqual({
      status: 202,
      headers: { 'Idempotency-Replayed': 'true' },
      body: { run: 1 },
    });
  });

  test('says which options are wrong', () => {
    expect(() => IdempotentRequest({ requierd: true } as never)).toThrow('did you mean required?');
    expect(() => IdempotentRequest({ caller: 'me' as never })).toThrow('caller must be a function');
  });
});
