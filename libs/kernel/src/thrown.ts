import { types } from 'node:util';
import { oneLine, withoutSecrets } from './safe-text.js';

/** What can be said of something that was thrown, whatever it is. Every text can be stored and is bounded. */
export interface ThrownDescription {
  /** The class of an error; of anything else its type. */
  readonly className: string;
  /** What an error calls itself: usually its class. */
  readonly name: string;
  readonly code: string | null;
  readonly message: string;
  readonly stack: string | null;
}

const NAME_CHARS = 200;
const MESSAGE_CHARS = 2_000;
const STACK_CHARS = 8_000;
/** What a text of PostgreSQL cannot hold: NUL, and halves of surrogate pairs. */
const UNSTORABLE = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** A text without what cannot be stored, and no longer than `limit` characters. */
export function cleanText(text: string, limit: number): string {
  return text.slice(0, limit).replaceAll(UNSTORABLE, '');
}

/** Stands for something that was thrown and cannot be looked at: its properties throw, too. */
class UnreadableError extends Error {
  override readonly name = 'UnreadableError';

  constructor() {
    super('what was thrown cannot be read: looking at it throws as well');
  }
}

/** Whether it is an error, of this realm or of another. */
export function isError(thrown: unknown): thrown is Error {
  return thrown instanceof Error || types.isNativeError(thrown);
}

/**
 * The boundary for what user code throws: the same value, when all that decisions and descriptions read of it can be read,
 * and else an error in its place. Behind it, looking at the value is safe.
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

/** Describes anything that was thrown. Never throws. */
export function describeThrown(thrown: unknown): ThrownDescription {
  try {
    return isError(thrown) ? describeOne(thrown) : describeOther(thrown);
  } catch {
    return describeOne(new UnreadableError());
  }
}

/** Name and message of anything that was thrown, as one line without passwords. Never throws. */
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

/** A value as far as it has a text: JSON has none for what is circular, for BigInt, for what `toJSON` refuses. */
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
  return cleanText(`an object that has no JSON, with ${keys === '' ? 'no keys' : keys}`, MESSAGE_CHARS);
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
