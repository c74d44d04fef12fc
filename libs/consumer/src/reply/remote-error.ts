import { describeError, type ErrorCode, isWaybillError, type RemoteError } from '@waybill/kernel';
import { describeThrown, isError } from '@waybill/kernel/internal';

/** Maximum length of a message; details with longer JSON are left out. */
const MESSAGE_CHARS = 4_000;
const DETAILS_CHARS = 32_768;

/** The properties that are read from an error, of any library. */
interface Described {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly status?: unknown;
  readonly getStatus?: unknown;
  readonly getError?: unknown;
  readonly getResponse?: unknown;
}

/** The form of error codes that programs test for; anything else may be free text. */
const CODE = /^[A-Za-z0-9_]{2,64}$/;

/** Errors of Waybill that describe what is wrong with the request itself. */
const ABOUT_THE_REQUEST: ReadonlySet<ErrorCode> = new Set([
  'PAYLOAD_INVALID',
  'PAYLOAD_UNREADABLE',
  'PAYLOAD_VERSION_UNSUPPORTED',
]);

/**
 * Whether a thrown value was made for the requester: RpcException, HttpException and other errors with details for
 * their caller (`getError()`, `getResponse()`), values that are not errors, and errors of the request itself.
 */
export function isMeantForAsker(thrown: unknown): boolean {
  if (isWaybillError(thrown)) return ABOUT_THE_REQUEST.has(thrown.code);
  return typeof thrown !== 'object' || thrown === null || toldOf(thrown) !== undefined;
}

/**
 * The report of a failure that was not meant for the requester: only its code, and the id by which the service finds it
 * in its log and among its dead letters. The details of a driver's or library's error are not the caller's business.
 */
export function withheldError(thrown: unknown, correlationId: string): RemoteError {
  const given = describeThrown(thrown).code ?? '';
  const code = CODE.test(given) ? given : 'INTERNAL';
  return {
    name: isWaybillError(thrown) ? describeThrown(thrown).name : 'InternalError',
    message: `the service failed (${code}); find the cause there by the correlation id`,
    code,
    correlationId,
  };
}

/**
 * Describes what a handler threw for the requester: class, message, code and status. Of its other fields, only those
 * meant for the caller are included (`getError()`, `getResponse()`; all of them if it is not an error): a driver's
 * error holds confidential details.
 */
export function remoteErrorOf(thrown: unknown): RemoteError {
  if (typeof thrown !== 'object' || thrown === null)
    return { name: 'Error', message: shorten(describeError(thrown)) };
  const { message, code, status } = thrown as Described;
  const { name } = describeThrown(thrown);
  const told = toldOf(thrown);
  const words = typeof told === 'object' && told !== null ? (told as Described) : {};
  const said = [message, words.message].find((text) => typeof text === 'string');
  return {
    name: isError(thrown) ? nameOf(thrown, name) : 'Error',
    message: shorten(said ?? 'it has no message'),
    ...pick('code', code, words.code),
    ...pick('status', statusOf(thrown), status, words.status),
    ...(told === words ? detailsOf(told) : {}),
  };
}

/** Nest's RpcException has the name `Error`. */
function nameOf(error: Error, name: string): string {
  return name === 'Error' ? describeThrown(error).className : name;
}

/** The HTTP status of Nest's HTTP exceptions, and of other errors of that shape. */
export function statusOf(thrown: unknown): number | undefined {
  const status = called(thrown, 'getStatus');
  return typeof status === 'number' ? status : undefined;
}

/** The details that the error has for its caller. */
function toldOf(thrown: object): unknown {
  if (!isError(thrown)) return thrown;
  const told = called(thrown, 'getError') ?? called(thrown, 'getResponse');
  // An error that serialises itself (as Waybill's do) includes class and message.
  return told === thrown ? undefined : told;
}

function called(thrown: unknown, method: 'getStatus' | 'getError' | 'getResponse'): unknown {
  try {
    const found = (thrown as Described | null | undefined)?.[method];
    if (typeof found !== 'function') return undefined;
    return found.call(thrown) as unknown;
  } catch {
    return undefined;
  }
}

function pick(name: 'code' | 'status', ...candidates: readonly unknown[]): Partial<RemoteError> {
  const found = candidates.find((value) => typeof value === 'string' || typeof value === 'number');
  return found === undefined ? {} : { [name]: typeof found === 'string' ? shorten(found) : found };
}

function detailsOf(told: unknown): Partial<RemoteError> {
  try {
    const text = JSON.stringify(told) as string | undefined;
    if (text === undefined || text.length > DETAILS_CHARS) return {};
    return { details: JSON.parse(text) as unknown };
  } catch {
    // It is not JSON; class and message are still reported.
    return {};
  }
}

function shorten(text: string): string {
  return text.length > MESSAGE_CHARS ? `${text.slice(0, MESSAGE_CHARS)}…` : text;
}

/** Reads the result of {@link remoteErrorOf}; undefined for anything else. */
export function readRemoteError(payload: unknown): RemoteError | undefined {
  if (typeof payload !== 'object' || payload === null) return undefined;
  const { name, message, code, status } = payload as Described;
  if (typeof name !== 'string' || typeof message !== 'string') return undefined;
  const { details, correlationId } = payload as RemoteError;
  return {
    name,
    message,
    ...pick('code', code),
    ...pick('status', status),
    ...(typeof correlationId === 'string' ? { correlationId: shorten(correlationId) } : {}),
    ...(details === undefined ? {} : { details }),
  };
}
