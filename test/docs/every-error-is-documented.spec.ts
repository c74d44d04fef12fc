import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import * as kernel from '@waybill/kernel';
import * as saga from '@waybill/saga';
import { ERROR_CODES, type ErrorCode, isWaybillError, type WaybillError } from '@waybill/kernel';

const made: WaybillError[] = [
  new kernel.ConfigurationError('Subject', ['one', 'two']),
  new kernel.TransactionRequiredError('A pool was passed'),
  new kernel.MessageTooLargeError('id', 'orders', 11, 10),
  new kernel.MessageInvalidError('id', 'orders', 'its key is too long'),
  new kernel.PayloadNotSerializableError('id', 'orders', 'it is a function'),
  new kernel.PayloadUnreadableError('orders[0]@1', 'it is no JSON'),
  new kernel.PayloadInvalidError('message id to topic orders', 2, { when: 'publishing' }),
  new kernel.PayloadVersionUnsupportedError('orders[0]@1', '1', 2, 3),
  new kernel.TopicNameInvalidError('a b'),
  new kernel.TopicUnknownError('orders'),
  new kernel.AccessDeniedError('Publishing: login shop may not publish to topic payments'),
  new kernel.OffsetOutOfRangeError('orders', 0, 1, 5, 9),
  new kernel.NotRunningError('The appender'),
  new kernel.HandleLentError('client', 'release'),
  new kernel.NotFoundError('dead letter 7'),
  new kernel.DeadLetterClosedError(7, 'redriven'),
  new kernel.HalfMessageDecidedError('id', 'committed', 'producer'),
  new kernel.IdMismatchError('The id'),
  new kernel.EffectRequestDiffersError('charge-1'),
  new kernel.EffectDecidedError('charge-1', 'done'),
  new kernel.ResultTooLargeError('the effect', 11, 10),
  new kernel.ResultNotSerializableError('the effect'),
  new kernel.BarrierNameError('Its gid is no UUID.'),
  new kernel.BarrierForgottenError('its action is 100 days old'),
  new kernel.IdOutsideWindowError('billing', 'id', { judgedMs: 1, nowMs: 5, windowMs: 3 }),
  new kernel.MessageIdInvalidError('billing', 'it has no id'),
  new kernel.IsolationLevelError('Entering a message'),
  new saga.EndpointRefusedError('api.example.com', 'it is not listed'),
  new kernel.ReplyTopicRefusedError('orders[0]@1', 'x', 'the topic does not exist'),
  new kernel.SignatureInvalidError('orders[0]@1', 'it is not signed'),
  new kernel.ContentUndecipherableError('orders[0]@1', 'key k1 is not known here'),
  new kernel.SubjectErasedError('orders[0]@1'),
  new saga.SagaOrderRefusedError('id', 'it has changed'),
  new saga.SagaDefinitionChangedError('orders.place', 1, ['step ship is gone']),
  new saga.SagaNotRegisteredError('orders.place', 1, 'orders'),
  new saga.SagaInputError('The key of a saga', 'must be a text'),
  new saga.SagaSignalUnknownError('id', 'approvel', 'orders.place', ['approval']),
  new saga.SagaCallbackRefusedError('stale', 'id', 'it is not awaited'),
  new kernel.MigrationRequiredError('waybill', 0, 3),
  new kernel.MigrationChangedError('waybill', '0001-log'),
  new kernel.SchemaTooNewError('waybill', 9, 3),
  new kernel.MigrationBlockedError('Another process migrates'),
  new kernel.PostgresTooOldError('13.1'),
  new kernel.ClusterChangedError('1'),
  new kernel.DatabaseUnavailableError('Connecting'),
  new kernel.TransactionConflictError('Publishing'),
  new kernel.DeliveryTimedOutError('orders', 5),
  new kernel.OutboxFullError('orders', '10 messages wait'),
  new kernel.BufferFullError('orders', 5),
  new kernel.HalfMessageOpenError('id', 'its commit was not answered'),
  new kernel.PayloadVersionUnknownError('orders[0]@1', 3, 2),
  new kernel.RequestTimedOutError('sum', 'id', 5),
  new saga.SagaVersionUnknownError('orders.place', 1, [2]),
  new kernel.LeaseForgedError('waybill:guard:{n1}', 'it carries no MAC'),
  new kernel.LeaseStoreUnavailableError('Claiming a name'),
  new kernel.EffectInProgressError('The effect', 10),
  new kernel.EffectUnknownError('charge-1', 'the gateway does not answer'),
  new kernel.EffectUndoneError('charge-1', 'it was undone'),
  new kernel.EffectRefusedError('the card was declined'),
  new kernel.SourceDivergedError('The log holds pass 3'),
  new kernel.LogWentBackError('Pass 3 is missing'),
  new kernel.BusMismatchError('The service is bound to bus a'),
  new kernel.GroupServiceMismatchError('Group g belongs to service a'),
  new kernel.ProgressWentBackError('Partition 1 was taken in epoch 4'),
  new kernel.FencedError('The lane'),
  new kernel.BarrierRefusedError('id/00/msg'),
  new saga.SagaCommandOverError('id', 'charge', 'action', 'taken-back'),
  new saga.SagaUnderWayError('id', 'trips.book', 'T-1', 'RUNNING', 30_000),
  new kernel.RequestFailedError('sum', 'id', 'failed', 'Error: no'),
  new kernel.HandlerTimedOutError('orders[0]@1', 5),
  new kernel.RetryableError('later'),
  new kernel.NonRetryableError('never'),
  new kernel.CorruptRecordError('its CRC is wrong'),
  new kernel.DatabaseRefusedError('Running x', '42501'),
  new kernel.InvariantError('a sequence gave no value'),
];

describe('the errors', () => {
  test('every code has exactly one class, and every class agrees with its code', () => {
    expect(made.map(({ code }) => code).toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted());
    for (const error of made) {
      expect(error.name).toBe(error.constructor.name);
      expect({ code: error.code, retryable: error.retryable }).toEqual({
        code: error.code,
        retryable: ERROR_CODES[error.code].retryable,
      });
      expect(isWaybillError(error)).toBe(true);
      expect(error.getError()).toBe(error);
    }
  });

  test('docs/ERRORS.md lists every code with its family, its class and whether it is retryable', () => {
    const document = readFileSync(new URL('../../docs/ERRORS.md', import.meta.url), 'utf8');
    const rows = new Map(
      [...document.matchAll(/^\| `([A-Z_]+)` \| `(\w+)` \| (\w+) \| (yes|no) \|/gm)].map(
        ([, code, name, family, retry]) => [code, { name, family, retry }],
      ),
    );
    expect([...rows.keys()].toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted());
    for (const { code, name } of made) {
      const { family, retryable } = ERROR_CODES[code as ErrorCode];
      expect(rows.get(code)).toEqual({ name, family, retry: retryable ? 'yes' : 'no' });
    }
  });

  test('keep their cause, and are recognised across two copies of the package', () => {
    const cause = new Error('socket hang up');
    expect(new kernel.DatabaseUnavailableError('Connecting', { cause }).cause).toBe(cause);
    expect(isWaybillError({ [Symbol.for('waybill.error')]: true })).toBe(true);
    expect(isWaybillError(cause)).toBe(false);
    expect(isWaybillError(null)).toBe(false);
  });

  test('of drivers are translated by their SQLSTATE, wherever the driver keeps it', () => {
    const codeOf = (error: unknown): unknown =>
      (kernel.translateDatabaseError(error, 'Doing it') as { code?: unknown }).code;
    const pg = (code: string): Error =>
      Object.assign(new Error('from the server'), { code, detail: 'orders' });
    const prisma = (code: string): Error =>
      Object.assign(new Error('raw query failed'), {
        code: 'P2010',
        meta: { driverAdapterError: { cause: { originalCode: code } } },
      });
    for (const wrap of [pg, prisma]) {
      expect(codeOf(wrap('WB001'))).toBe('TOPIC_UNKNOWN');
      expect(codeOf(wrap('WB003'))).toBe('FENCED');
      expect(codeOf(wrap('WB040'))).toBe('ACCESS_DENIED');
      expect(codeOf(wrap('40001'))).toBe('TRANSACTION_CONFLICT');
      expect(codeOf(wrap('57P01'))).toBe('DATABASE_UNAVAILABLE');
      expect(codeOf(wrap('42P01'))).toBe('MIGRATION_REQUIRED');
      expect(codeOf(wrap('42501'))).toBe('DATABASE_REFUSED');
      expect(codeOf(wrap('25P02'))).toBe('TRANSACTION_REQUIRED');
    }
    expect(codeOf(Object.assign(new Error('expired'), { code: 'P2028' }))).toBe('TRANSACTION_REQUIRED');
    expect(codeOf(new Error('Connection terminated unexpectedly'))).toBe('DATABASE_UNAVAILABLE');
    expect(codeOf(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))).toBe(
      'DATABASE_UNAVAILABLE',
    );
    const other = new Error('something of the user');
    expect(kernel.translateDatabaseError(other, 'Doing it')).toBe(other);
  });

  test('of an HTTP call within a handler count as attempts, those of the database do not', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    expect(kernel.isInfrastructureFailure(refused)).toBe(false);
    expect(kernel.isInfrastructureFailure(Object.assign(new Error('deadlock'), { code: '40P01' }))).toBe(
      true,
    );
    expect(kernel.isInfrastructureFailure(new Error('Connection terminated unexpectedly'))).toBe(true);
    expect(kernel.isInfrastructureFailure(new kernel.DatabaseUnavailableError('x'))).toBe(true);
  });
});
