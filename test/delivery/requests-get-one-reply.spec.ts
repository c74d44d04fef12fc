import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  HttpException,
  type INestApplication,
  NotFoundException,
  Post,
  type Provider,
  Res,
  StreamableFile,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  getWaybillToken,
  IdempotencyInterceptor,
  IdempotencyKey,
  IdempotentRequest,
  type LeaseGuard,
  RequestGuard,
  WaybillModule,
  type WaybillModuleOptions,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { of } from 'rxjs';
import { Fixture } from '../support/fixture.js';
import { describeWithRedis } from '../support/timers.js';

/** What ran, by number; and what a handler waits for or throws. */
const ran: number[] = [];
let gate: Promise<void> = Promise.resolve();
let failure: unknown;

/** Identifies the caller by a cookie, an API key or a renewed token: all of one user are the same caller. */
class Authentication implements CanActivate {
  canActivate(execution: ExecutionContext): boolean {
    const request = execution
      .switchToHttp()
      .getRequest<{ headers: Record<string, string>; user?: unknown }>();
    const user = request.headers['x-user'];
    if (user !== 'nobody') request.user = { id: user ?? 'ada' };
    return true;
  }
}

@Controller('orders')
@UseGuards(Authentication)
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
  const imports = [WaybillModule.forRoot({ ...fixture.moduleOptions, relay: false, ...options })];
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

/** What must hold wherever the guard stores its leases. */
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
  test('gets one response, by PostgreSQL', () => holdsFor({}));

  describeWithRedis('with Redis', (redis) => {
    test('gets one response', () => holdsFor({ redis: redis().url }));
    test('gets one response, with PostgreSQL as its fallback', () =>
      holdsFor({ redis: redis().url, guards: { withoutRedis: 'postgres' } }));
  });

  test('runs once when it comes many times at once', async () => {
    await start();
    const answers = await Promise.all(Array.from({ length: 30 }, () => post('/orders', 'k')));
    expect(ran).toEqual([1]);
    expect(answers.filter(({ status }) => status === 201).length).toBeGreaterThan(0);
    expect(answers.every(({ status }) => status === 201 || status === 409)).toBe(true);
  });

  test('belongs to its caller, its method and its path; an option says who the caller is', async () => {
    await start();
    const basic = { 'x-user': 'eve' };
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
  ])('that is missing or invalid is refused: %s', async (key, refusal) => {
    await start();
    expect(await post('/orders', key)).toMatchObject({ status: 400, body: { statusCode: 400, refusal } });
    expect(ran).toEqual([]);
  });

  test('may come without the key where that is not required', async () => {
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

  test('gets a rejection of the handler again, and runs again after a failure', async () => {
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

  test('is refused while Redis is unavailable, and nothing runs', async () => {
    await start({ redis: 'redis://127.0.0.1:1' });
    expect(await post('/orders', 'k')).toMatchObject({
      status: 503,
      retryAfter: '1',
      body: { refusal: 'unavailable' },
    });
    expect(ran).toEqual([]);
  });

  test('guards a whole application, in which other requests pass', async () => {
    const guarding = {
      provide: APP_INTERCEPTOR,
      inject: [getWaybillToken(RequestGuard)],
      useFactory: (guard: LeaseGuard) =>
        new IdempotencyInterceptor(guard, { required: false, caller: 'anonymous' }),
    };
    await start({}, [guarding as never]);
    expect(await (await fetch(`${await app.getUrl()}/orders`)).json()).toEqual([]);
    await post('/orders/notes', 'k');
    expect(await post('/orders/notes', 'k')).toMatchObject({ replayed: 'true' });
    expect(ran).toEqual([1]);
  });

  test('gets one response under Fastify as well', async () => {
    await start();
    const interceptor = new IdempotencyInterceptor(app.get(getWaybillToken(RequestGuard)), {
      caller: 'anonymous',
    });
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
    expect(() => IdempotentRequest({ caller: 7 as never })).toThrow('caller must be a function');
  });
});

/** Logins of every kind, and the user of each. */
@Controller('pay')
@UseGuards(Authentication)
class Payments {
  static paid = 0;

  @Post(['', 'again'])
  @IdempotentRequest()
  pay(): { n: number } {
    Payments.paid += 1;
    return { n: Payments.paid };
  }

  @Post('to/:account')
  @IdempotentRequest()
  payTo(): { n: number } {
    return this.pay();
  }
}

describe('a payment under an Idempotency-Key', () => {
  const startPayments = async (options: { rawBody?: boolean } = {}): Promise<void> => {
    Payments.paid = 0;
    const imports = [WaybillModule.forRoot({ ...fixture.moduleOptions, relay: false })];
    const module = await Test.createTestingModule({ imports, controllers: [Payments] }).compile();
    app = module.createNestApplication({ logger: false, ...options });
    await app.listen(0, '127.0.0.1');
  };
  const raw = async (path: string, body: string, headers: Record<string, string> = {}): Promise<number> => {
    const response = await fetch(`${await app.getUrl()}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k', ...headers },
      body,
    });
    await response.text();
    return response.status;
  };

  test('belongs to its user, however the user logged in: a renewed token pays nothing twice, a cookie shares nothing', async () => {
    await startPayments();
    const logins = (user: string): Record<string, string>[] => [
      { 'x-user': user, authorization: 'Bearer one' },
      { 'x-user': user, authorization: 'Bearer renewed' },
      { 'x-user': user, cookie: 'session=1' },
      { 'x-user': user, 'x-api-key': '1' },
    ];
    for (const login of [...logins('ada'), ...logins('eve'), ...logins('__proto__')])
      expect(await raw('/pay', '{}', login)).toBe(201);
    expect(Payments.paid).toBe(3);
  });

  test('without a caller is refused, and no response is shared', async () => {
    await startPayments();
    expect(await raw('/pay', '{}', { 'x-user': 'nobody' })).toBe(401);
    expect(await raw('/pay', '{}', { 'x-user': '' })).toBe(401);
    expect(Payments.paid).toBe(0);
  });

  test('is the same, however its path is written, and a different one for another parameter', async () => {
    await startPayments();
    for (const path of ['/pay', '/pay/', '/PAY']) expect(await raw(path, '{}')).toBe(201);
    expect(Payments.paid).toBe(1);
    for (const path of ['/pay/to/a', '/pay/to/a/', '/pay/to/%61', '/pay/TO/a'])
      expect(await raw(path, '{}')).toBe(201);
    expect(Payments.paid).toBe(2);
    expect(await raw('/pay/to/A', '{}')).toBe(201);
    expect(await raw('/pay/to/a%2Fb', '{}')).toBe(201);
    expect(Payments.paid).toBe(4);
  });

  test('with another query has different content, even after a second question mark', async () => {
    await startPayments();
    expect(await raw('/pay?note=a?b', '{}')).toBe(201);
    for (const query of ['?note=a?c', '?note=a', '?note=a?', '?note=a%3Fb', ''])
      expect(await raw(`/pay${query}`, '{}')).toBe(422);
    expect(await raw('/pay?note=a?b', '{}')).toBe(201);
    expect(Payments.paid).toBe(1);
  });

  test('whose raw body is kept is compared byte by byte: figures that JSON rounds differ', async () => {
    await startPayments({ rawBody: true });
    expect(await raw('/pay', '{"pence":9007199254740992}')).toBe(201);
    expect(await raw('/pay', '{"pence":9007199254740993}')).toBe(422);
    expect(await raw('/pay', '{"pence":9007199254740992}')).toBe(201);
    expect(Payments.paid).toBe(1);
  });
});

describe('an application that could not identify the caller does not start', () => {
  @Controller()
  class Open {
    @Post('open')
    @IdempotentRequest()
    pay(): void {}
  }

  @Controller()
  @IdempotentRequest()
  class OpenClass {
    @Post('open')
    pay(): void {}
  }

  @Controller()
  class ByGuard {
    @Post('open')
    @IdempotentRequest()
    @UseGuards(Authentication)
    pay(): void {}
  }

  @Controller()
  @IdempotentRequest({ caller: 'anonymous' })
  class ByOption {
    @Post('open')
    pay(): void {}
  }

  const boot = async (controllers: Type[], providers: Provider[] = []): Promise<void> => {
    const imports = [WaybillModule.forRoot({ ...fixture.moduleOptions, relay: false })];
    const module = await Test.createTestingModule({ imports, controllers, providers }).compile();
    app = module.createNestApplication({ logger: false });
    await app.init();
  };
  const interceptor: Provider = {
    provide: APP_INTERCEPTOR,
    inject: [getWaybillToken(RequestGuard)],
    useFactory: (guard: LeaseGuard) => new IdempotencyInterceptor(guard),
  };
  const guard: Provider = { provide: APP_GUARD, useClass: Authentication };

  test.each<[string, Type[], Provider[], string]>([
    ['a method', [Open], [], 'Open.pay'],
    ['a class', [OpenClass], [], 'OpenClass.pay'],
    ['the whole application', [], [interceptor], 'IdempotencyInterceptor'],
  ])('%s', async (_, controllers, providers, named) => {
    const starting = boot(controllers, providers);
    await expect(starting).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    await expect(starting).rejects.toThrow(named);
  });

  test.each<[string, Type[], Provider[]]>([
    ['a guard of the method', [ByGuard], []],
    ['an option', [ByOption], []],
    ['a guard of the application', [Open, OpenClass], [interceptor, guard]],
  ])('and with %s it starts', (_, controllers, providers) => boot(controllers, providers));
});
