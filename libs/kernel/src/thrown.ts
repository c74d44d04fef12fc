import { types } from 'node:util';
import { oneLine, withoutSecrets } from './safe-text.js';

/** A description of a thrown value of any kind. Each text can be stored and is bounded. */
export interface ThrownDescription {
  /** The class of an error; the type of any other value. */
  readonly className: string;
  /** The error's `name`: usually its class. */
  readonly name: string;
  readonly code: string | null;
  readonly message: string;
  readonly stack: string | null;
}

const NAME_CHARS = 200;
const MESSAGE_CHARS = 2_000;
const STACK_CHARS = 8_000;
/** Characters that PostgreSQL's text cannot contain: NUL, and halves of surrogate pairs. */
const UNSTORABLE = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** A text without characters that cannot be stored, truncated to `limit` characters. */
export function cleanText(text: string, limit: number): string {
  return text.slice(0, limit).replaceAll(UNSTORABLE, '');
}

/** Replaces a thrown value that cannot be read: its properties throw, too. */
class UnreadableError extends Error {
  override readonly name = 'UnreadableError';

  constructor() {
    super('the thrown value cannot be read: reading it throws as well');
  }
}

/** Whether it is an error of this or another realm. */
export function isError(thrown: unknown): thrown is Error {
  return thrown instanceof Error || types.isNativeError(thrown);
}

/**
 * The boundary for values that user code throws: the same value if all properties that decisions and descriptions need
 * can be read, otherwise an error in its place. After it, the value is safe to read.
 */
export function readableThrown(thrown: unknown): unknown {
  try {
    if ((typeof thrown !== 'object' && typeof thrown !== 'function') || thrown === null) return thrown;
    for (let depth = 0, current: unknown = thrown; depth < 8 && isObject(current); depth += 1) {
      const seen: Record<string, unknown> = current;
      for (const name of ['name', 'message', 'stack', 'code', 'status', 'meta', 'delayMs']) void seen[name];
      for (const name of ['getStatus', 'getError', 'getResponse', 'constructor']) void seen[name];
      void Object.getPrototypeOf(current);
      current = seen['cause'];
    }
    return thrown;
  } catch {
    return new UnreadableError();
  }
}

/** Describes any thrown value. Never throws. */
export function describeThrown(thrown: unknown): ThrownDescription {
  try {
    return isError(thrown) ? describeOne(thrown) : describeOther(thrown);
  } catch {
    return describeOne(new UnreadableError());
  }
}

/** Name and message of any thrown value, as one line without passwords. Never throws. */
export function describeError(error: unknown): string {
  const { name, message } = describeThrown(error);
  return oneLine(isErrorSafely(error) ? `${name}: ${message}` : message);
}

function describeOne(error: Error): ThrownDescription {
  const { name, message, stack, code } = error as unknown as Record<string, unknown>;
  const constructed: unknown = (error.constructor as { name?: unknown } | null | undefined)?.name;
  const called = textOr(name, 'Error', NAME_CHARS);
  const className = textOr(constructed, called, NAME_CHARS);
  return {
    className: className === 'Object' || className === '' ? called : className,
    name: called,
    code: typeof code === 'string' && code !== '' ? cleanText(code, NAME_CHARS) : null,
    message: typeof message === 'string' ? tellable(message, MESSAGE_CHARS) : shown(message),
    stack: typeof stack === 'string' ? tellable(stack, STACK_CHARS) : null,
  };
}

function describeOther(thrown: unknown): ThrownDescription {
  const { code } = (isObject(thrown) ? thrown : {}) as { code?: unknown };
  return {
    className: typeof thrown,
    name: typeof thrown,
    code: typeof code === 'string' && code !== '' ? cleanText(code, NAME_CHARS) : null,
    message: typeof thrown === 'string' ? tellable(thrown, MESSAGE_CHARS) : shown(thrown),
    stack: null,
  };
}

/** A value as text: JSON has none for circular values, BigInt, or an object whose `toJSON` throws. */
function shown(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return cleanText(String(value), MESSAGE_CHARS);
  try {
    const json = JSON.stringify(value) as string | undefined;
    if (json !== undefined) return tellable(json, MESSAGE_CHARS);
  } catch {
    // Its keys say something, too.
  }
  const keys = Object.keys(value).slice(0, 20).join(', ');
  return cleanText(
    `an object without a JSON form, with ${keys === '' ? 'no keys' : `keys ${keys}`}`,
    MESSAGE_CHARS,
  );
}

function tellable(text: string, limit: number): string {
  return cleanText(withoutSecrets(text.slice(0, 2 * limit)), limit);
}

function textOr(value: unknown, instead: string, limit: number): string {
  return typeof value === 'string' ? cleanText(value, limit) : instead;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' || typeof value === 'function') && value !== null;
}

function isErrorSafely(value: unknown): boolean {
  try {
    return isError(value);
  } catch {
    return true;
  }
}
