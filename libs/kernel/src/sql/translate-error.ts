import { SubjectErasedError } from '../errors/cipher-errors.js';
import { BarrierForgottenError, BarrierNameError } from '../errors/effect-errors.js';
import { AccessDeniedError, ConfigurationError, TransactionRequiredError } from '../errors/usage-errors.js';
import { InvariantError } from '../errors/invariant.js';
import { MessageInvalidError } from '../errors/message-errors.js';
import { TopicNameInvalidError, TopicUnknownError } from '../errors/log-errors.js';
import { IsolationLevelError } from '../errors/guard-errors.js';
import {
  DatabaseRefusedError,
  DatabaseUnavailableError,
  FencedError,
  OutboxFullError,
  TransactionConflictError,
} from '../errors/runtime-errors.js';
import { BusMismatchError, GroupServiceMismatchError, SourceDivergedError } from '../errors/bus-errors.js';
import { ClusterChangedError, MigrationRequiredError } from '../errors/schema-errors.js';
import { isWaybillError } from '../errors/waybill-error.js';
import { connectionAdvice } from './connection-advice.js';
import { firstFailure } from './failed-statement.js';
import { CommitRolledBackError } from './statement-batch.js';

/** The SQLSTATEs that Waybill's own functions raise. Class WB is free for use by the SQL standard's rules. */
export const WAYBILL_SQLSTATE = {
  topicUnknown: 'WB001',
  topicNameInvalid: 'WB002',
  fenced: 'WB003',
  relayFenced: 'WB004',
  partitionUnknown: 'WB006',
  clusterChanged: 'WB007',
  isolationLevel: 'WB009',
  outboxFull: 'WB010',
  subjectErased: 'WB011',
  barrierName: 'WB020',
  barrierForgotten: 'WB022',
  accessDenied: 'WB040',
  sourceDiverged: 'WB050',
  passesMissing: 'WB051',
  passSuperseded: 'WB052',
  logEpochChanged: 'WB053',
  busMismatch: 'WB054',
  groupServiceMismatch: 'WB055',
} as const;

const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
]);

interface DatabaseErrorLike {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly detail?: unknown;
  readonly cause?: unknown;
  readonly meta?: unknown;
}

/**
 * Translates a driver's error into Waybill's; the only place that does. Knows `pg`'s errors and Prisma's, which keep
 * the SQLSTATE in a nested object.
 *
 * @param doing the operation, for the message: "Publishing message … to orders"
 */
export function translateDatabaseError(error: unknown, doing: string): Error {
  if (isWaybillError(error)) return error;
  if (error instanceof CommitRolledBackError)
    return isTransactionConflict(error.cause) ? translateDatabaseError(error.cause, doing) : error;
  const code = sqlStateOf(error);
  const details = { cause: error };
  const detail = detailOf(error);
  if (code === undefined) {
    const remedy = connectionAdvice(error);
    return looksDisconnected(error) || remedy !== undefined
      ? new DatabaseUnavailableError(`${doing}: the database cannot be reached (${messageOf(error)})`, {
          ...details,
          remedy,
        })
      : typeof error === 'object' && error !== null
        ? (error as Error)
        : new InvariantError(`${doing}: ${String(error)}`, details);
  }
  switch (code) {
    case WAYBILL_SQLSTATE.topicUnknown:
      return new TopicUnknownError(detail, details);
    case WAYBILL_SQLSTATE.topicNameInvalid:
      return new TopicNameInvalidError(detail);
    case WAYBILL_SQLSTATE.fenced:
    case WAYBILL_SQLSTATE.relayFenced:
      return new FencedError(`${doing}: ${messageOf(error)}`, details);
    case WAYBILL_SQLSTATE.partitionUnknown:
      return new MessageInvalidError('(being published)', detail, messageOf(error));
    case WAYBILL_SQLSTATE.outboxFull:
      return new OutboxFullError(detail, messageOf(error), details);
    case WAYBILL_SQLSTATE.subjectErased:
      return new SubjectErasedError(`the data to be stored (${doing})`, details);
    case WAYBILL_SQLSTATE.clusterChanged:
      return new ClusterChangedError(detail, details);
    case WAYBILL_SQLSTATE.isolationLevel:
      return new IsolationLevelError(`${doing}: ${messageOf(error)}`, details);
    case WAYBILL_SQLSTATE.barrierName:
      return new BarrierNameError(`${messageOf(error)}.`, details);
    case WAYBILL_SQLSTATE.barrierForgotten:
      return new BarrierForgottenError(messageOf(error), details);
    case WAYBILL_SQLSTATE.sourceDiverged:
      return new SourceDivergedError(`${doing}: ${messageOf(error)}`, details);
    case WAYBILL_SQLSTATE.passesMissing:
    case WAYBILL_SQLSTATE.passSuperseded:
    case WAYBILL_SQLSTATE.logEpochChanged:
      return new FencedError(`${doing}: ${messageOf(error)}`, {
        ...details,
        remedy: 'The relay asks the log what it holds, and goes on from there.',
      });
    case WAYBILL_SQLSTATE.busMismatch:
      return new BusMismatchError(`${doing}: ${messageOf(error)}`, details);
    case WAYBILL_SQLSTATE.groupServiceMismatch:
      return new GroupServiceMismatchError(`${doing}: ${messageOf(error)}`, details);
    case WAYBILL_SQLSTATE.accessDenied:
      return new AccessDeniedError(`${doing}: ${messageOf(error)}`, details);
    case 'P2028':
      return new TransactionRequiredError(`${doing}: Prisma's transaction has already ended`, details);
    default:
      return translateSqlState(code, error, doing);
  }
}

function translateSqlState(code: string, error: unknown, doing: string): Error {
  const details = { cause: error };
  const what = `${doing}: ${messageOf(error)}`;
  // 42P01 table, 3F000 schema, 42883 function: the errors of an unmigrated database.
  if (code === '42P01' || code === '3F000' || code === '42883') {
    return new MigrationRequiredError(/"?(\w+)"?\./.exec(messageOf(error))?.[1] ?? 'waybill', 0, 1, details);
  }
  // 25P02: an earlier statement of the caller's transaction failed; no more statements can run in it.
  if (code === '25P02') return failedTransaction(error, doing);
  if (UNPREPARED.test(code)) {
    const hint = 'a transaction pooler is in front of the database: set outbox.preparedStatements to false';
    return new ConfigurationError(what, [hint], details);
  }
  if (code === '40001' || code === '40P01' || code === '55P03')
    return new TransactionConflictError(what, details);
  const unavailable = LOSS.test(code) || TROUBLE.test(code) || code === '57014' || NETWORK_CODES.has(code);
  const remedy = connectionAdvice(error);
  if (unavailable || remedy !== undefined) return new DatabaseUnavailableError(what, { ...details, remedy });
  // Node's own codes have no digits: a code of neither the network nor the server says nothing about the database.
  if (!/\d/.test(code)) return error as Error;
  return new DatabaseRefusedError(what, code, details);
}

/**
 * The server's own failures, which say nothing about the statement: out of disk, memory or connections, I/O errors,
 * read-only after a failover.
 */
const TROUBLE = /^(53[0-3]00|58...|25006)$/;
/** A pooler gave the connection to another client between two uses of a prepared statement. */
const UNPREPARED = /^(26000|42P05)$/;
/**
 * The connection is lost or was never made, e.g. because the server shuts down: a transaction's outcome is then
 * unknown.
 */
const LOSS = /^(08...|57P..|25P03|P1001|P1017|P2024)$/;

/**
 * Whether an error looks as if the database were unreachable or failing, or a transaction in conflict. For an error
 * thrown by user code this is a guess: a refused connection to another service may look the same.
 */
export function isInfrastructureFailure(error: unknown): boolean {
  return isConnectionLoss(error) || isServerTrouble(error) || isTransactionConflict(error);
}

/**
 * Whether the server refused a statement because of its own failure, or that of a pooler in front of it. Nothing was done.
 */
export function isServerTrouble(error: unknown): boolean {
  const code = sqlStateOf(error) ?? '';
  return TROUBLE.test(code) || UNPREPARED.test(code);
}

/**
 * Whether the connection to the database was lost, or could not be made. A network code alone does not say which
 * connection.
 */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state !== undefined && /\d/.test(state)) return LOSS.test(state);
  if (isWaybillError(error)) return error.code === 'DATABASE_UNAVAILABLE';
  return state === undefined && looksDisconnected(error);
}

/** Whether the server refused a statement because the login lacks a right. Nothing was done. */
export function isRightMissing(error: unknown): boolean {
  return sqlStateOf(error) === '42501';
}

/** Whether the server reported that it rolled a transaction back because of others: it can be run again immediately. */
export function isTransactionConflict(error: unknown): boolean {
  if (isWaybillError(error)) return error.code === 'TRANSACTION_CONFLICT';
  return /^(40001|40P01|55P03|P2034)$/.test(sqlStateOf(error) ?? '');
}

/** The SQLSTATE (or Prisma or network code) of a driver's error, wherever the driver stores it. */
export function sqlStateOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > 4) return undefined;
  const { code, cause, meta } = error as DatabaseErrorLike;
  const original = (error as { originalCode?: unknown }).originalCode;
  if (typeof original === 'string') return original;
  const metaCode = (meta as { code?: unknown; driverAdapterError?: unknown } | undefined)?.code;
  // P2010 is Prisma's "raw query failed"; the actual error is nested in it.
  if (code === 'P2010') {
    const driver = (meta as { driverAdapterError?: unknown } | undefined)?.driverAdapterError;
    return sqlStateOf(driver, depth + 1) ?? (typeof metaCode === 'string' ? metaCode : undefined);
  }
  if (typeof code === 'string' && /^([0-9A-Z]{5}|P\d{4}|E[A-Z]+|EAI_AGAIN)$/.test(code)) return code;
  return sqlStateOf(cause, depth + 1);
}

function detailOf(error: unknown, depth = 0): string {
  if (typeof error !== 'object' || error === null || depth > 5) return '';
  const { detail, cause, meta } = error as DatabaseErrorLike;
  if (typeof detail === 'string' && detail !== '') return detail;
  const driver = (meta as { driverAdapterError?: unknown } | undefined)?.driverAdapterError;
  return detailOf(driver, depth + 1) || detailOf(cause, depth + 1);
}

/** Also for errors of other realms, e.g. Node's own in a test runner. */
function messageOf(error: unknown): string {
  const { message, errors } = (error ?? {}) as { readonly message?: unknown; readonly errors?: unknown };
  if (typeof message !== 'string') return String(error);
  // A host with several addresses fails with the errors of all of them, and an empty message.
  return message === '' && Array.isArray(errors) ? errors.map((one) => messageOf(one)).join('; ') : message;
}

/** The error that failed the transaction says more than that it failed. */
function failedTransaction(error: unknown, doing: string): Error {
  const first = firstFailure(error);
  if (first !== undefined && isTransactionConflict(first)) return translateDatabaseError(first, doing);
  return TransactionRequiredError.afterFailure(doing, first, error);
}

/** pg reports these without a code when a connection breaks during a query. */
function looksDisconnected(error: unknown): boolean {
  return /connection terminated|connection error|client was closed|connection ended|timeout exceeded when trying to connect|connection timeout|is not queryable/i.test(
    messageOf(error),
  );
}
