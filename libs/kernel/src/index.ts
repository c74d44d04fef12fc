export {
  BackgroundService,
  type BackgroundServiceOptions,
  type PassResult,
} from './loop/background-service.js';
export { Bell } from './loop/bell.js';
export { IdlePace, type IdlePaceOptions } from './loop/idle-pace.js';
export { type Clock, systemClock } from './clock.js';
export * from './errors/cipher-errors.js';
export * from './errors/contract-errors.js';
export * from './errors/effect-errors.js';
export * from './errors/invariant.js';
export * from './errors/log-errors.js';
export * from './errors/message-errors.js';
export { ERROR_CODES, type ErrorCode } from './errors/error-code.js';
export * from './errors/guard-errors.js';
export * from './errors/half-message-errors.js';
export * from './errors/request-errors.js';
export * from './errors/runtime-errors.js';
export * from './errors/schema-errors.js';
export * from './errors/bus-errors.js';
export * from './errors/usage-errors.js';
export { type ErrorDetails, isWaybillError, WaybillError } from './errors/waybill-error.js';
export { isId, newId } from './ids.js';
export { type LogFields, type Logger, silentLogger } from './logger.js';
export {
  type Given,
  oneOf,
  type OptionSpec,
  type OptionSpecs,
  type Resolved,
  resolveOptions,
  wholeNumber,
} from './options.js';
export { type Operator } from './operator.js';
export { type Password } from './password.js';
export { parseJson } from './parse-json.js';
export { type CopyRowHandler } from './sql/copy-out.js';
export { type ConnectionLoss, PgDatabase, type PgDatabaseOptions } from './pg/pg-database.js';
export { type BoundStatement, bindStatement } from './sql/bound-statement.js';
export { PgConnection, PgSession } from './pg/pg-session.js';
export { type PgTransactionHandle, PgTransactionRunner } from './pg/pg-transaction-runner.js';
export { Retention } from './loop/retention.js';
export { type SqlSession } from './sql/sql-session.js';
export {
  type DatabaseAddress,
  type DatabaseServer,
  type DatabaseTls,
  type DatabaseUrl,
} from './pg/database-address.js';
export type { TargetSessionAttrs } from './pg/target-session.js';
export { DEFAULT_SCHEMA, type Statement } from './sql/statement.js';
export {
  HandlerAbandonedError,
  type OpenTransaction,
  type TransactionRunner,
  type TransactionWork,
} from './sql/transaction-runner.js';
export { isInfrastructureFailure, translateDatabaseError } from './sql/translate-error.js';
export { describeError } from './thrown.js';
