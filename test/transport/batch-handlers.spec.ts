import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
  type RpcExceptionFilter,
  type Type,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { APP_PIPE } from '@nestjs/core';
import { PipesConsumer } from '@nestjs/core/pipes/pipes-consumer.js';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import {
  type BatchExtra,
  BatchFailure,
  drop,
  Idempotent,
  retryIn,
  type WaybillContext,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { IsInt, Max } from 'class-validator';
import type pg from 'pg';
import { type Observable, tap, throwError } from 'rxjs';
import { upTo } from '../support/fixture.js';
import { Applications } from './application.js';

type Context = WaybillContext<pg.PoolClient>;

class Order {
  @IsInt()
  @Max(1_000)
  n!: number;
}

let apps: Applications;
let calls: number[][];
beforeEach(async () => {
  apps = await Applications.create('orders.placed', 'orders.shipped');
  calls = [];
});
afterEach(() => apps.close());

const store = (context: Context, orders: readonly Order[]): Promise<unknown> =>
  context.transaction.query(
    `insert into effect (consumer, topic, n) select 'batch', 'orders.placed', n from unnest($1::int[]) as n`,
    [orders.map(({ n }) => n)],
  );

/** Publishes before a consumer starts, so that there is a backlog. */
async function backlog(count: number, numberOf: (n: number) => number = (n) => n): Promise<void> {
  for (const n of upTo(count)) await apps.fixture.publish(numberOf(n), 'key', 'orders.placed');
}

async function effects(count: number): Promise<number[]> {
  await waitUntil(async () => (await apps.effects('batch')) >= count, { describe: `${count} effects` });
  const { rows } = await apps.fixture.database.pool.query<{ n: number }>(
    'select n from effect order by ctid',
  );
  return rows.map(({ n }) => n);
}

const letters = async (): Promise<{ reason: string; attempts: number; error: string; n: number }[]> => {
  const { rows } = await apps.fixture.database.pool.query<{
    reason: string;
    attempts: number;
    error: string;
    n: number;
  }>(
    `select reason, attempts, error_message as error, (convert_from(payload, 'UTF8')::json ->> 'n')::int as n
       from waybill.dead_letter order by log_offset`,
  );
  return rows;
};

/** A controller with one batch handler. */
function batching(
  handle: (orders: Order[], context: Context) => unknown,
  batch: BatchExtra = { max: 500 },
  ...decorators: MethodDecorator[]
): Type {
  @Controller()
  class Orders {
    @EventPattern<string>('orders.placed', { batch })
    placed(@Payload() orders: Order[], @Ctx() context: Context): unknown {
      calls.push(orders.map(({ n }) => n));
      return handle(orders, context);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Orders.prototype, 'placed') as PropertyDescriptor;
  for (const decorate of decorators) decorate(Orders.prototype, 'placed', descriptor);
  return Orders;
}

describe('a batch handler', () => {
  test('gets the payloads in order, and a context with the deliveries; one transaction has all effects', async () => {
    const offsets: number[][] = [];
    await backlog(40);
    await apps.start('batch', [
      batching(
        async (orders, context) => {
          offsets.push(context.deliveries.map(({ offset }) => offset));
          expect(context.deliveries.map(({ payload }) => payload)).toEqual(orders);
          await store(context, orders);
        },
        { max: 10 },
      ),
    ]);
    expect(await effects(40)).toEqual(upTo(40));
    expect(calls.flat()).toEqual(upTo(40));
    expect(offsets.flat()).toEqual(upTo(40));
    // A lane begins with one message, and doubles.
    expect(calls.map(({ length }) => length)).toEqual([1, 2, 4, 8, 10, 10, 5]);
    const transactions = await apps.fixture.value('select count(distinct xmin::text)::int from effect');
    expect(transactions).toBe(calls.length);
  });

  test('waits for more messages, as long as it says', async () => {
    await apps.start('batch', [
      batching((orders, context) => store(context, orders), { max: 4, waitMs: 10_000 }),
    ]);
    // After 1 and 2 messages it may get 4.
    await backlog(7);
    expect(await effects(7)).toEqual(upTo(7));
    expect(calls).toEqual([[0], [1, 2], [3, 4, 5, 6]]);
  });

  test.each([
    ['that says which message failed', (at: number, error: Error) => new BatchFailure(at, error)],
    ['that does not say which failed, is halved, and', (_: number, error: Error) => error],
  ])('%s has the others take effect once, and only that one charged', async (_, failure) => {
    await backlog(30);
    await apps.start('batch', [
      batching(async (orders, context) => {
        await store(context, orders);
        const at = orders.findIndex(({ n }) => n === 17);
        if (at >= 0) throw failure(at, new Error('17 is unlucky'));
      }),
    ]);
    expect(await effects(29)).toEqual(upTo(30).filter((n) => n !== 17));
    await waitUntil(async () => (await letters()).length === 1, { describe: 'a dead letter' });
    expect(await letters()).toEqual([
      { n: 17, reason: 'attempts-spent', attempts: 3, error: '17 is unlucky' },
    ]);
  });

  test.each([7, -1, 0.5, Number.NaN, '1' as unknown as number])(
    'that names index %s, which no message has, is halved',
    async (index) => {
      await backlog(3);
      await apps.start('batch', [
        batching(async (orders, context) => {
          if (orders.some(({ n }) => n === 1)) throw new BatchFailure(index, new Error('it is 1'));
          await store(context, orders);
        }),
      ]);
      expect(await effects(2)).toEqual([0, 2]);
      await waitUntil(async () => (await letters()).length === 1, { describe: 'a dead letter' });
      expect((await letters())[0]).toMatchObject({ n: 1, error: expect.stringContaining('names index') });
    },
  );

  test('returns a verdict for each: dropped ones are done, others wait, and the order of the key stays', async () => {
    const isFirst = new Set<number>();
    await backlog(20);
    await apps.start('batch', [
      batching(async (orders, context) => {
        const kept = orders.filter(({ n }) => n % 5 !== 0);
        await store(context, kept);
        return orders.map(({ n }) => {
          if (n % 5 === 0) return drop('a fifth');
          if (n !== 13 || isFirst.has(n)) return undefined;
          isFirst.add(n);
          return retryIn(1);
        });
      }),
    ]);
    expect(await effects(16)).toEqual(upTo(20).filter((n) => n % 5 !== 0));
    expect(await letters()).toEqual([]);
  });

  test('that returns too few verdicts fails', async () => {
    await backlog(4);
    await apps.start('batch', [batching((orders) => orders.slice(1).map(() => drop('too few')))]);
    await waitUntil(() => calls.length >= 2, { describe: 'two calls' });
    // Of one message, which gets no verdict, all are done.
    await waitUntil(() => calls.flat().includes(3), { describe: 'all were handled' });
    await waitUntil(async () => (await letters()).length === 0 && calls.at(-1)?.length === 1, {
      describe: 'it was halved to single messages',
    });
  });

  test('has guards, interceptors and filters around a call, and pipes for each payload, global ones too', async () => {
    const seen: string[] = [];
    class OnlyBatches implements CanActivate {
      canActivate(execution: ExecutionContext): boolean {
        seen.push(`guard of ${execution.switchToRpc().getData<unknown[]>().length}`);
        return true;
      }
    }
    class Watch implements NestInterceptor {
      intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(tap(() => seen.push('interceptor')));
      }
    }
    class Double implements PipeTransform {
      transform(value: object): object {
        // Nest also passes the context.
        return 'n' in value ? { n: (value as Order).n * 2 } : value;
      }
    }
    @Catch(RangeError)
    class Rename implements RpcExceptionFilter<RangeError> {
      catch({ message }: RangeError): Observable<unknown> {
        return throwError(() => new Error(`filtered ${message}`));
      }
    }
    @UsePipes(Double)
    @Controller()
    class Orders {
      @UseGuards(OnlyBatches)
      @UseInterceptors(Watch)
      @UseFilters(Rename)
      @EventPattern<string>('orders.placed', { batch: { type: Order } })
      async placed(
        @Payload(new ValidationPipe({ transform: true })) orders: Order[],
        @Ctx() context: Context,
      ): Promise<void> {
        expect(orders.every((order) => order instanceof Order)).toBe(true);
        if (orders.some(({ n }) => n === 10)) throw new RangeError('4');
        await store(context, orders);
      }
    }
    await backlog(7, (n) => (n === 5 ? 501 : n));
    class AddOne implements PipeTransform {
      transform(value: object): object {
        return 'n' in value ? { n: (value as Order).n + 1 } : value;
      }
    }
    class Everywhere {}
    const everywhere = { module: Everywhere, providers: [{ provide: APP_PIPE, useClass: AddOne }] };
    await apps.start('batch', [Orders], { imports: [everywhere] });
    expect(await effects(5)).toEqual([2, 4, 6, 8, 14]);
    await waitUntil(async () => (await letters()).length === 2, { describe: 'two dead letters' });
    expect((await letters()).map(({ n, error }) => [n, error])).toEqual([
      [4, 'filtered 4'],
      [501, expect.stringContaining('Bad Request')],
    ]);
    expect(seen.slice(0, 4)).toEqual(['guard of 1', 'interceptor', 'guard of 2', 'interceptor']);
  });

  test('with @Idempotent gets those messages that it has not handled before, also within a batch', async () => {
    const ids = (ns: readonly number[]): string => ns.join(',');
    await backlog(12, (n) => n % 7);
    const guarded = Idempotent<Order>({ guard: 'message-id', id: ({ n }) => `order-${n}`, name: 'orders' });
    const handler = batching(
      async (orders, context) => {
        expect(ids(context.deliveries.map(({ payload }) => (payload as Order).n))).toBe(
          ids(orders.map(({ n }) => n)),
        );
        await store(context, orders);
        return orders.map(({ n }) => (n === 3 ? drop('not 3') : undefined));
      },
      { max: 500 },
      guarded,
    );
    await apps.start('batch', [handler]);
    await effects(7);
    await apps.fixture.publish(100, 'key', 'orders.placed');
    expect(await effects(8)).toEqual([...upTo(7), 100]);
  });
});

describe('is refused at the start', () => {
  const refused = (controllers: Type[]): Promise<string> =>
    apps.start('batch', controllers).then(
      () => 'it started',
      ({ message }: Error) => message,
    );

  test('when the handler replies', async () => {
    @Controller()
    class Asked {
      @MessagePattern<string>('orders.placed', { batch: {} })
      placed(): void {}
    }
    expect(await refused([Asked])).toContain('the batch handler of orders.placed replies');
  });

  test('when Nest applies pipes in a way that Waybill does not know', async () => {
    const prototype = PipesConsumer.prototype as object;
    const installed = Symbol.for('waybill.pipe-each-payload');
    const before = Object.getOwnPropertyDescriptors(prototype);
    Object.defineProperty(prototype, 'applyPipes', { value: undefined, configurable: true, writable: true });
    Object.defineProperty(prototype, installed, { value: false, configurable: true, writable: true });
    try {
      expect(await refused([batching(() => {})])).toContain(
        'applies pipes in a way that Waybill does not know',
      );
    } finally {
      Object.defineProperties(prototype, before);
    }
  });

  test('when it is not the only one', async () => {
    const other = batching(() => {});
    expect(await refused([other, batching(() => {})])).toContain('is not the only handler');
  });

  test('with options that do not fit', async () => {
    @Controller()
    class Both {
      @EventPattern<string>('orders.placed', { batch: {}, transactionBatch: 5 })
      placed(): void {}
    }
    expect(await refused([Both])).toContain('has transactionBatch');
    expect(await refused([batching(() => {}, { max: 501 })])).toContain(
      'max must be a whole number from 1 to 500',
    );
    expect(await refused([batching(() => {}, { waitMs: -1 })])).toContain('waitMs must be a whole number');
    const leased = batching(() => {}, {}, Idempotent({ guard: 'lease' }));
    expect(await refused([leased])).toContain('has @Idempotent with a lease');
  });
});
