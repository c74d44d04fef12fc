/**
 * The failure table: what goes wrong before, in, or after a handler, and what must follow for an event and
 * for a request. Every handler writes an effect first: what fails must leave none.
 */
import { BadRequestException, HttpException, Scope, ServiceUnavailableException } from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { deadLetter, drop, NonRetryableError, RetryableError } from '@waybill/nestjs';
import { concat, EMPTY, mergeMap, NEVER, of, throwError, timer } from 'rxjs';
import { DomainError, fail, filter, guard, interceptor, later, pipe, scoped } from './faults.mjs';
import { answered, done, refused, spent } from './outcomes.mjs';

/**
 * Properties of a row: `handle` is the handler, called with its delivery's context and the number of the call; `use`
 * are decorators of the method; `inject` a provider that the controller needs; `beside` a second handler of the same
 * pattern; `options` those of the subscription; `event` and `request` what must follow.
 */
export const rows = [
  {
    name: 'a handler throws',
    handle: () => fail('the handler fails', 'E_SHOP'),
    ...spent('DomainError', 'the handler fails', { code: 'E_SHOP' }),
  },
  {
    name: 'a handler rejects',
    handle: async () => fail('the promise fails'),
    ...spent('DomainError', 'the promise fails'),
  },
  {
    name: 'a handler rejects later',
    handle: () => later(20, () => fail('late')),
    ...spent('DomainError', 'late'),
  },
  {
    name: 'an observable errors',
    handle: () => throwError(() => new DomainError('the observable fails')),
    ...spent('DomainError', 'the observable fails'),
  },
  {
    name: 'an observable errors later, after a value',
    handle: () => concat(of(1), timer(20).pipe(mergeMap(() => fail('the observable fails late')))),
    ...spent('DomainError', 'the observable fails late'),
  },
  {
    name: 'an async iterable throws after a value',
    handle: async function* () {
      yield 1;
      fail('the iterable fails');
    },
    ...spent('DomainError', 'the iterable fails'),
  },
  {
    name: 'an observable never completes',
    handle: () => NEVER,
    options: { maxProcessingMs: 150, retry: { maxAttempts: 2, delayMs: 1 } },
    event: {
      outcome: 'dead letter',
      reason: 'attempts-spent',
      attempts: 2,
      errorClass: 'HandlerTimedOutError',
      effects: 0,
    },
    request: {
      outcome: 'dead letter',
      reason: 'attempts-spent',
      attempts: 2,
      errorClass: 'HandlerTimedOutError',
      effects: 0,
      answer: { status: 'failed', name: 'HandlerTimedOutError', code: 'HANDLER_TIMED_OUT' },
    },
  },
  {
    name: 'a promise never settles',
    handle: () => new Promise(() => {}),
    options: { maxProcessingMs: 150, retry: { maxAttempts: 1 } },
    event: { outcome: 'dead letter', attempts: 1, errorClass: 'HandlerTimedOutError', effects: 0 },
    request: {
      outcome: 'dead letter',
      attempts: 1,
      errorClass: 'HandlerTimedOutError',
      effects: 0,
      answer: { status: 'failed', name: 'HandlerTimedOutError' },
    },
  },
  {
    name: 'a guard throws',
    use: [guard(() => fail('the guard fails'))],
    ...spent('DomainError', 'the guard fails'),
  },
  {
    name: 'a guard rejects',
    use: [guard(async () => fail('the guard rejects'))],
    ...spent('DomainError', 'the guard rejects'),
  },
  {
    name: 'a guard refuses',
    use: [guard(() => false)],
    ...answered(spent('RpcException', 'Forbidden resource').event, {
      name: 'RpcException',
      message: 'Forbidden resource',
    }),
  },
  {
    name: 'a pipe throws',
    use: [pipe(() => fail('the pipe fails'))],
    ...spent('DomainError', 'the pipe fails'),
  },
  {
    name: 'a pipe rejects the payload',
    use: [
      pipe(() => {
        throw new BadRequestException(['n must be a number']);
      }),
    ],
    ...answered(refused('BadRequestException', 'Bad Request Exception: n must be a number').event, {
      name: 'BadRequestException',
      httpStatus: 400,
      details: { message: ['n must be a number'], error: 'Bad Request', statusCode: 400 },
    }),
  },
  {
    name: 'an interceptor throws before the handler',
    use: [interceptor(() => fail('before'))],
    ...spent('DomainError', 'before'),
  },
  {
    name: 'an interceptor throws after the handler',
    use: [interceptor((_, next) => next.handle().pipe(mergeMap(() => fail('behind'))))],
    ...spent('DomainError', 'behind'),
  },
  {
    name: 'a filter throws',
    use: [filter([DomainError], (error) => fail(`filtered: ${error.message}`))],
    handle: () => fail('first'),
    ...spent('DomainError', 'filtered: first'),
  },
  {
    name: 'a filter rethrows',
    use: [
      filter([DomainError], (error) => {
        throw error;
      }),
    ],
    handle: () => fail('as it was'),
    ...spent('DomainError', 'as it was'),
  },
  {
    name: 'a filter passes on another error',
    use: [
      filter([DomainError], (error) =>
        throwError(() => new NonRetryableError(`translated: ${error.message}`)),
      ),
    ],
    handle: () => fail('first'),
    ...refused('NonRetryableError', 'translated: first'),
  },
  {
    name: 'a filter turns an error into a reply',
    use: [filter([DomainError], (error) => throwError(() => ({ code: 'SOLD_OUT', message: error.message })))],
    handle: () => fail('nothing left'),
    event: { outcome: 'dead letter', reason: 'attempts-spent', attempts: 3, effects: 0 },
    request: {
      outcome: 'answered',
      effects: 0,
      answer: {
        status: 'rejected',
        name: 'Error',
        message: 'nothing left',
        code: 'SOLD_OUT',
        details: { code: 'SOLD_OUT', message: 'nothing left' },
      },
    },
  },
  {
    name: 'a filter accepts the failure',
    use: [filter([DomainError], () => of('forgiven'))],
    handle: () => fail('and yet'),
    ...done(1, 'forgiven'),
  },
  {
    name: 'an RpcException with a text',
    handle: () => {
      throw new RpcException('sold out');
    },
    ...answered(spent('RpcException', 'sold out').event, { name: 'RpcException', message: 'sold out' }),
  },
  {
    name: 'an RpcException with an object',
    handle: () => {
      throw new RpcException({ code: 7, message: 'sold out', left: 0 });
    },
    ...answered(spent('RpcException', 'sold out').event, {
      name: 'RpcException',
      message: 'sold out',
      code: 7,
      details: { code: 7, message: 'sold out', left: 0 },
    }),
  },
  {
    name: 'an HTTP exception with 409',
    handle: () => {
      throw new HttpException({ error: 'taken' }, 409);
    },
    ...answered(refused('HttpException', 'Http Exception').event, {
      name: 'HttpException',
      httpStatus: 409,
      details: { error: 'taken' },
    }),
  },
  {
    name: 'an HTTP exception with 429',
    handle: () => {
      throw new HttpException('slowly', 429);
    },
    ...spent('HttpException', 'slowly', { httpStatus: 429 }),
  },
  {
    name: 'an HTTP exception with 503',
    handle: () => {
      throw new ServiceUnavailableException('not now');
    },
    ...spent('ServiceUnavailableException', 'not now', { httpStatus: 503 }),
  },
  {
    name: 'NonRetryableError',
    handle: () => {
      throw new NonRetryableError('never');
    },
    ...refused('NonRetryableError', 'never'),
  },
  {
    name: 'RetryableError',
    handle: () => {
      throw new RetryableError('once more', { delayMs: 1 });
    },
    ...spent('RetryableError', 'once more'),
  },
  {
    name: 'a dead-letter verdict',
    handle: () => deadLetter('forged'),
    event: { outcome: 'dead letter', reason: 'by-handler', attempts: 1, errorMessage: 'forged', effects: 0 },
    request: {
      outcome: 'dead letter',
      reason: 'by-handler',
      effects: 0,
      answer: { status: 'failed', name: 'InternalError', code: 'INTERNAL' },
    },
  },
  {
    name: 'a drop verdict',
    handle: () => drop('withdrawn'),
    event: { outcome: 'dropped', effects: 0 },
    request: { outcome: 'dropped', effects: 0, answer: { code: 'REQUEST_TIMED_OUT' } },
  },
  {
    name: 'a failed statement is swallowed',
    handle: async (context) => {
      await context.transaction.query('select 1 / 0').catch(() => {});
      return 'all is well';
    },
    event: { outcome: 'dead letter', attempts: 3, errorClass: 'TransactionRequiredError', effects: 0 },
    request: {
      outcome: 'dead letter',
      attempts: 3,
      errorClass: 'TransactionRequiredError',
      effects: 0,
      answer: { status: 'failed', name: 'TransactionRequiredError' },
    },
  },
  {
    name: 'a request-scoped provider fails',
    inject: scoped(),
    handle: (_, __, provider) => provider.fail(),
    ...spent('DomainError', 'a request-scoped provider fails'),
  },
  {
    name: 'a request-scoped provider cannot be created',
    inject: scoped(() => fail('the constructor fails')),
    handle: () => 'never',
    ...spent('DomainError', 'the constructor fails'),
  },
  {
    name: 'a durable provider fails',
    inject: scoped(undefined, { scope: Scope.REQUEST, durable: true }),
    handle: (_, __, provider) => provider.fail(),
    ...spent('DomainError', 'a request-scoped provider fails'),
  },
  { name: 'a request-scoped provider works', inject: scoped(), handle: () => 'made', ...done(1, 'made') },
  {
    name: 'the first of two handlers fails',
    handle: () => fail('the first fails'),
    beside: () => later(30, () => 'well'),
    event: spent('DomainError', 'the first fails').event,
  },
  {
    name: 'the second of two handlers fails',
    handle: () => of('well'),
    beside: () => later(30, () => fail('the second fails')),
    event: spent('DomainError', 'the second fails').event,
  },
  {
    name: 'the second of two handlers fails, the first ends in an empty stream',
    handle: () => EMPTY,
    beside: () => later(30, () => fail('the second fails')),
    event: spent('DomainError', 'the second fails').event,
  },
  {
    name: 'the second of two handlers drops it',
    handle: () => 'well',
    beside: () => drop('withdrawn'),
    event: { outcome: 'dropped', effects: 0 },
  },
  {
    name: 'two handlers work',
    handle: () => 'well',
    beside: () => later(5, () => 'well'),
    event: { outcome: 'done', effects: 2 },
  },
  {
    name: 'the third attempt works',
    handle: (_, call) => (call < 3 ? fail('not yet') : 'at last'),
    ...done(1, 'at last', 3),
  },
  {
    name: 'a stream of values',
    handle: () => of(1, 2, 3),
    event: { outcome: 'done', effects: 1 },
    request: { outcome: 'answered', effects: 1, answer: { values: [1, 2, 3] } },
  },
  {
    name: 'a promise is left alone, and rejects after the handler has returned',
    handle: () => {
      void later(50, () => fail('nobody waits for it'));
      return 'returned';
    },
    ...done(1, 'returned'),
    unhandled: 'DomainError: nobody waits for it',
  },
  {
    name: 'a global pipe throws',
    payload: { n: 1, poison: true },
    ...spent('DomainError', 'the global pipe fails'),
  },
];
