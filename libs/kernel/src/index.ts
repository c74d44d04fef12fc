export {
  BackgroundService,
  type BackgroundServiceOptions,
  type PassResult,
} from './loop/background-service.js';
export { backoffMs } from './loop/backoff.js';
export { Bell } from './loop/bell.js';
export { withinTime } from './loop/within-time.js';
export { type Clock, systemClock } from './clock.js';
export * from './errors/cipher-errors.js';
export * from './errors/contract-errors.js';
export * from './errors/effect-errors.js';
export * from './errors/invariant.js';
export * from './errors/log-errors.js';
export * from './errors/message-errors.js';
export { ERROR_CODES, type ErrorCode, type ErrorCodeEntry, type ErrorFamily } from './errors/error-code.js';
export * from './errors/guard-errors.js';
export * from './errors/half-message-errors.js';
export * from './errors/request-errors.js';
export * from './errors/runtime-errors.js';
export * from './errors/schema-errors.js';
export * from './errors/usage-errors.js';
export { type ErrorDetails, isWaybillError, WaybillError } from './errors/waybill-error.js';
export { idTimeMs, isId, nameBasedId, newId } from './ids.js';
export { guardLogger, isFenced, type LogFields, type Logger, silentLogger } from './logger.js';
export {
  flag,
  type Given,
  moment,
  nearestName,
  oneOf,
  type OptionSpec,
  type OptionSpecs,
  type Resolved,
  resolveOptions,
  show,
  text,
  unknownName,
  wholeNumber,
} from './options.js';
export { type MacKeyStatements, MacKeys } from './mac-keys.js';
export { assertOperator, type Operator } from './operator.js';
export { askPassword, type Password } from './password.js';
export { parseJson } from './safe-json.js';
export { keyName, oneLine, withoutSecrets } from './safe-text.js';
export { answeredWithin, closeSocket } from './sql/answer-deadline.js';
export { type CopyRowHandler } from './sql/copy-out.js';
export { copyInteger } from './sql/copy-integer.js';
export { type ConnectionLoss, PgDatabase, type PgDatabaseOptions } from './sql/pg-database.js';
export { failureOf, watchFailures } from './sql/failed-statement.js';
export { type BoundStatement, bindStatement } from './sql/bound-statement.js';
export { PgConnection, type PgQueryable, PgSession } from './sql/pg-session.js';
export { type PgTransactionHandle, PgTransactionRunner } from './sql/pg-transaction-runner.js';
export { pgTypes } from './sql/pg-types.js';
export { Retention } from './loop/retention.js';
export { type Savepoint, savepointOf } from './sql/savepoint.js';
export { skipWhenLocked } from './loop/skip-when-locked.js';
export { runAhead, type SqlSession } from './sql/sql-session.js';
export { isPlainObject, NotPlainJsonError, plainJson } from './plain-json.js';
export { dictionary, own } from './dictionary.js';
export {
  ADDRESS_OPTIONS,
  addressOf,
  addressProblems,
  type DatabaseAddress,
  databaseNameOf,
  type DatabaseServer,
  type DatabaseTls,
  type DatabaseUrl,
} from './sql/database-address.js';
export { derivedName } from './sql/derived-name.js';
export { assertSchemaName, DEFAULT_SCHEMA, renderSql, type Statement, statement } from './sql/statement.js';
export {
  HandlerAbandonedError,
  type OpenTransaction,
  TransactionLostError,
  type TransactionRunner,
  type TransactionWork,
} from './sql/transaction-runner.js';
export {
  isConnectionLoss,
  isInfrastructureFailure,
  isServerTrouble,
  isTransactionConflict,
  sqlStateOf,
  translateDatabaseError,
  WAYBILL_SQLSTATE,
} from './sql/translate-error.js';
export {
  cleanText,
  describeError,
  describeThrown,
  isError,
  readableThrown,
  type ThrownDescription,
} from './thrown.js';
