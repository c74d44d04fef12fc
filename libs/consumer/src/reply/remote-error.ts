import { describeError, type ErrorCode, isWaybillError, type RemoteError } from '@waybill/kernel';
import { describeThrown, isError } from '@waybill/kernel/internal';

/** A message is shortened to this; details that are longer as JSON are left out. */
const MESSAGE_CHARS = 4_000;
const DETAILS_CHARS = 32_768;

/** What is read of an error, of whatever library it is. */
interface Described {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly status?: unknown;
  readonly getStatus?: unknown;
  readonly getError?: unknown;
  readonly getResponse?: unknown;
}

/** How codes look that programs branch on; anything else may be a text. */
const CODE = /^[A-Za-z0-9_]{2,64}$/;

/** Errors of Waybill that say what is wrong with the request itself. */
const ABOUT_THE_REQUEST: ReadonlySet<ErrorCode> = new Set([
  'PAYLOAD_INVALID',
  'PAYLOAD_UNREADABLE',
  'PAYLOAD_VERSION_UNSUPPORTED',
]);

/**
 * Whether what was thrown was made for the one who asks: RpcException, HttpException and others that tell their caller
 * something (`getError()`, `getResponse()`), what is no error, and what is wrong with the request itself.
 */
export function isMeantForAsker(thrown: unknown): boolean {
  if (isWaybillError(thrown)) return ABOUT_THE_REQUEST.has(thrown.code);
  return typeof thrown !== 'object' || thrown === null || toldOf(thrown) !== undefined;
}

/**
 * What is told of a failure that was not meant for the one who asks: nothing but its code, and by which id its service
 * finds it in its log and among its dead letters. What a driver, or a library, says of itself is no caller's business.
 */
export function withheldError(thrown: unknown, correlationId: string): RemoteError {
  const given = describeThrown(thrown).code ?? '';
  const code = CODE.test(given) ? given : 'INTERNAL';
  return {
    name: isWaybillError(thrown) ? describeThrown(thrown).name : 'InternalError',
    message: `it failed there (${code}); its service finds the reason by the correlation id`,
    code,
    correlationId,
  };
}

/**
 * Describes what a handler threw for the one who asked: class, message, code and status. Of its other fields only those go
 * along that it has for its caller (`getError()`, `getResponse()`; of what is no error, all): a driver's error knows
 * things that are no stranger's business.
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
    message: shorten(said ?? 'it gave no message'),
    ...pick('code', code, words.code),
    ...pick('status', statusOf(thrown), status, words.status),
    ...(told === words ? detailsOf(told) : {}),
  };
}

/** Nest's RpcException leaves its name at `Error`. */
function nameOf(error: Error, name: string): string {
  return name === 'Error' ? describeThrown(error).className : name;
}

/** The HTTP status of Nest's HTTP exceptions, and of others of their shape. */
export function statusOf(thrown: unknown): number | undefined {
  const status = called(thrown, 'getStatus');
  return typeof status === 'number' ? status : undefined;
}

/** What the error was made to tell its caller. */
function toldOf(thrown: object): unknown {
  if (!isError(thrown)) return thrown;
  const told = called(thrown, 'getError') ?? called(thrown, 'getResponse');
  // An error that tells itself (those of Waybill do) tells its class and message.
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
    // It is not JSON; class and message are told all the same.
    return {};
  }
}

function shorten(text: string): string {
  return text.length > MESSAGE_CHARS ? `${text.slice(0, MESSAGE_CHARS)}…` : text;
}

/** Reads what {@link remoteErrorOf} has written; undefined for anything else. */
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
