/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { backoffMs } from './loop/backoff-ms.js';
export { withinTime } from './loop/within-time.js';
export { idTimeMs, nameBasedId } from './ids.js';
export { guardLogger, isFenced } from './logger.js';
export { flag, moment, nearestName, show, text, unknownName } from './options.js';
export { MacKeys } from './mac-keys.js';
export { assertOperator } from './operator.js';
export { askPassword } from './password.js';
export { keyName, oneLine, withoutSecrets } from './safe-text.js';
export { failureSettling } from './pg/at-rest.js';
export { respondedWithin, closeSocket } from './pg/response-deadline.js';
export { copyInteger } from './sql/copy-integer.js';
export { failureOf, watchFailures } from './sql/failed-statement.js';
export { type PgQueryable } from './pg/pg-session.js';
export { pgTypes } from './pg/pg-types.js';
export { savepointOf } from './sql/savepoint.js';
export { skipWhenLocked } from './loop/skip-when-locked.js';
export { runAhead } from './sql/sql-session.js';
export { isPlainObject, NotPlainJsonError, plainJson } from './plain-json.js';
export { dictionary, own } from './dictionary.js';
export { ADDRESS_OPTIONS, addressOf, addressProblems, databaseNameOf } from './pg/database-address.js';
export { derivedName } from './sql/derived-name.js';
export { assertSchemaName, busSchemaOf, renderSql, statement } from './sql/statement.js';
export { TransactionLostError } from './sql/transaction-runner.js';
export {
  isConnectionLoss,
  isRightMissing,
  isServerTrouble,
  isTransactionConflict,
  sqlStateOf,
} from './sql/translate-error.js';
export { cleanText, describeThrown, isError, readableThrown } from './thrown.js';
