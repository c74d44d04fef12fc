import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type INestMicroservice,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { Ctx, EventPattern, Payload, RpcException } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { NonRetryableError, WaybillContext, WaybillModule, WaybillServer } from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { type Observable, of, throwError } from 'rxjs';
import { map } from 'rxjs/operators';
import { Fixture } from '../support/fixture.js';

class DomainError extends Error {
  override readonly name = 'DomainError';
}

interface Order {
  readonly n: number;
}

async function keep(order: Order, context: WaybillContext<pg.PoolClient>, consumer: string): Promise<void> {
  await context.transaction.query('insert into effect (consumer, n, attempt) values ($1, $2, $3)', [
    consumer,
    order.n,
    context.attempt,
  ]);
}

@Injectable()
class FailingGuard implements CanActivate {
  canActivate(): boolean {
    throw new DomainError('the guard fails');
  }
}

class ClosedGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

class FailingPipe implements PipeTransform {
  transform(): never {
    throw new DomainError('the pipe fails');
  }
}

class FailingInterceptor implements NestInterceptor {
  intercept(_: unknown, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(
      map(() => {
        throw new DomainError('the interceptor fails');
      }),
    );
  }
}

@Catch(DomainError)
class TranslatingFilter implements ExceptionFilter {
  catch(error: DomainError): Observable<never> {
    return throwError(() => new NonRetryableError(`translated: ${error.message}`));
  }
}

@Catch(DomainError)
class ForgivingFilter implements ExceptionFilter {
  catch(): Observable<string> {
    return of('forgiven');
  }
}

@Injectable({ scope: Scope.REQUEST })
class PerDelivery {
  fail(): never {
    throw new DomainError('a request-scoped provider fails');
  }
}

@Controller()
class Handlers {
  @EventPattern<string>('throws')
  async throws(@Payload() order: Order, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    await keep(order, context, 'throws');
    throw new DomainError('the handler fails');
  }

  @EventPattern<string>('observable')
  observable(): Observable<never> {
    return throwError(() => new DomainError('the observable fails'));
  }

  @EventPattern<string>('guard')
  @UseGuards(FailingGuard)
  guarded(): void {}

  @EventPattern<string>('closed')
  @UseGuards(ClosedGuard)
  closed(): void {}

  @EventPattern<string>('pipe')
  @UsePipes(FailingPipe)
  piped(@Payload() _order: Order): void {}

  @EventPattern<string>('interceptor')
  @UseInterceptors(FailingInterceptor)
  async intercepted(@Payload() order: Order, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    await keep(order, context, 'interceptor');
  }

  @EventPattern<string>('rpc-exception')
  rpcException(): never {
    throw new RpcException('an RPC exception');
  }

  @EventPattern<string>('http-exception')
  httpException(): never {
    throw new BadRequestException('it will never be good');
  }

  @EventPattern<string>('translated')
  @UseFilters(TranslatingFilter)
  translated(): never {
    throw new DomainError('from within');
  }

  @EventPattern<string>('forgiven')
  @UseFilters(ForgivingFilter)
  async forgiven(@Payload() order: Order, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    await keep(order, context, 'forgiven');
    throw new DomainError('and yet it is done');
  }

  @EventPattern<string>('sometimes')
  async sometimes(@Payload() order: Order, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    await keep(order, context, 'sometimes');
    if (context.attempt < 3) throw new DomainError('not yet');
  }

  @EventPattern<string>('twice')
  async twiceA(@Payload() order: Order, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    await keep(order, context, 'twice A');
  }
}

@Controller()
class OtherHandlers {
  constructor(private readonly perDelivery: PerDelivery) {}

  @EventPattern<string>('request-scoped')
  requestScoped(): void {
    this.perDelivery.fail();
  }
}

@Controller()
class SecondHandlers {
  @EventPattern<string>('twice')
  async twiceB(@Payload() order: Order, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<void> {
    await keep(order, context, 'twice B');
    if (context.attempt < 2) throw new DomainError('the second handler fails');
  }
}

@Controller()
class Unreadable {
  @EventPattern<string>('unreadable')
  never(): void {}
}

/** Topic, and what the dead letter says: class, message, reason, attempts. */
const FAILURES = [
  ['throws', 'DomainError', 'the handler fails', 'attempts-spent', 3],
  ['observable', 'DomainError', 'the observable fails', 'attempts-spent', 3],
  ['guard', 'DomainError', 'the guard fails', 'attempts-spent', 3],
  ['closed', 'RpcException', 'Forbidden resource', 'attempts-spent', 3],
  ['pipe', 'DomainError', 'the pipe fails', 'attempts-spent', 3],
  ['interceptor', 'DomainError', 'the interceptor fails', 'attempts-spent', 3],
  ['rpc-exception', 'RpcException', 'an RPC exception', 'attempts-spent', 3],
  ['http-exception', 'BadRequestException', 'it will never be good', 'not-retryable', 1],
  ['translated', 'NonRetryableError', 'translated: from within', 'not-retryable', 1],
  ['request-scoped', 'DomainError', 'a request-scoped provider fails', 'attempts-spent', 3],
  ['unreadable', 'PayloadUnreadableError', expect.stringContaining('unreadable['), 'payload-unreadable', 1],
] as const;

const GOOD = ['forgiven', 'sometimes', 'twice'];

describe('a failure before, in, or after a handler', () => {
  let fixture: Fixture;
  let app: INestMicroservice;

  beforeAll(async () => {
    const topics = Object.fromEntries(
      [...FAILURES.map(([topic]) => topic), ...GOOD].map((topic) => [topic, { partitions: 1 }]),
    );
    fixture = await Fixture.create(topics);
    const retry = { maxAttempts: 3, delayMs: 1 };
    const module = await Test.createTestingModule({
      imports: [
        WaybillModule.forRoot({
          ...fixture.moduleOptions,
          group: 'shop',
          handlers: { retry },
          consumer: { leaseMs: 20_000, heartbeatMs: 500 },
        }),
      ],
      controllers: [Handlers, OtherHandlers, SecondHandlers, Unreadable],
      providers: [PerDelivery],
    }).compile();
    module.useLogger(false);
    app = module.createNestMicroservice({ strategy: module.get(WaybillServer) });
    await app.listen();
  });

  afterAll(async () => {
    await app.close();
    await fixture.close();
  });

  const letterOf = async (topic: string) =>
    (await fixture.deadLetters.list()).find((letter) => letter.topic === topic);

  test.each(FAILURES)(
    '%s: is retried, then becomes a dead letter with the original error',
    async (topic, errorClass, errorMessage, reason, attempts) => {
      if (topic === 'unreadable') {
        await fixture.database.pool.query(
          `insert into waybill.outbox (message_id, topic, key, payload) values (waybill.uuid_v7(), 'unreadable', 'k', '{"n": 1, "__proto__": {}}')`,
        );
      } else {
        await fixture.publish(1, 'k', topic);
      }
      await waitUntil(async () => (await letterOf(topic)) !== undefined, {
        describe: `a dead letter of ${topic}`,
      });
      expect(await letterOf(topic)).toMatchObject({ errorClass, errorMessage, reason, attempts, key: 'k' });
      // What the failed attempts wrote is rolled back.
      expect(await fixture.value('select count(*)::int from effect where consumer = $1', [topic])).toBe(0);
    },
  );

  test('a filter that handles the failure ends the delivery successfully', async () => {
    await fixture.publish(7, 'k', 'forgiven');
    await waitUntil(
      async () => (await fixture.value(`select count(*)::int from effect where consumer = 'forgiven'`)) === 1,
      {
        describe: 'the effect is stored',
      },
    );
    expect(await letterOf('forgiven')).toBeUndefined();
  });

  test('a handler that succeeds at the third attempt takes effect once', async () => {
    await fixture.publish(8, 'k', 'sometimes');
    await waitUntil(
      async () => (await fixture.value(`select count(*)::int from effect where consumer = 'sometimes'`)) > 0,
      {
        describe: 'the effect is stored',
      },
    );
    expect(
      await fixture.value(`select string_agg(attempt::text, ',') from effect where consumer = 'sometimes'`),
    ).toBe('3');
  });

  test('two handlers of one pattern take effect together, once each', async () => {
    await fixture.publish(9, 'k', 'twice');
    await waitUntil(
      async () =>
        (await fixture.value(`select count(*)::int from effect where consumer like 'twice %'`)) >= 2,
      {
        describe: 'both effects are stored',
      },
    );
    expect(
      await fixture.value(
        `select string_agg(consumer || ' ' || attempt, ', ' order by consumer) from effect where consumer like 'twice %'`,
      ),
    ).toBe('twice A 2, twice B 2');
  });
});
