import { types } from 'node:util';

/** JSON would leave out or change the value. */
export class NotPlainJsonError extends TypeError {
  override readonly name = 'NotPlainJsonError';
}

/** The deepest nesting allowed. */
const MAX_DEPTH = 1_000;

/**
 * The value as JSON carries it: itself, or a copy in which objects with their own JSON form (`toJSON`, e.g. a Date) are
 * replaced by it. JSON leaves out undefined properties, turns -0 into 0 and keeps an instance's enumerable properties;
 * any other silent change is refused, with the path to it.
 *
 * @param name the first part of the path
 * @param reader who reads it: `anybody`, with parsers that refuse JavaScript's special keys, or `ourselves`
 * @throws NotPlainJsonError
 */
export function plainJson<T>(value: T, name = 'payload', reader: 'anybody' | 'ourselves' = 'anybody'): T {
  return new PlainJson(name, reader === 'ourselves').plain(value, '', 0) as T;
}

/** Whether a value is an object of named entries: not an array, Map, string or class instance. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  // Including those of another realm, e.g. of tests and vm contexts.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

class PlainJson {
  readonly #path: (string | number)[] = [];
  readonly #within = new Set<object>();

  constructor(
    private readonly name: string,
    private readonly takesAnyKey: boolean,
  ) {}

  plain(value: unknown, key: string | number, depth: number): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value;
      case 'number':
        return this.#number(value);
      case 'object':
        return value === null ? null : this.#object(value, key, depth);
      case 'undefined':
        throw this.#refusal('is undefined, which JSON cannot represent');
      case 'bigint':
      case 'function':
      case 'symbol':
        throw this.#refusal(`is a ${typeof value}, which JSON cannot represent`);
    }
  }

  #number(value: number): number {
    if (!Number.isFinite(value)) throw this.#refusal(`is ${value}, which JSON turns into null`);
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw this.#refusal(`is ${value}, an integer beyond 2^53, which may have lost digits`);
    return value;
  }

  #object(value: object, key: string | number, depth: number): unknown {
    if (depth > MAX_DEPTH) throw this.#refusal(`is more than ${MAX_DEPTH} levels deep`);
    if (this.#within.has(value)) throw this.#refusal('contains itself');
    const isView = ArrayBuffer.isView(value);
    // A Buffer has a JSON form, but is parsed as an object of numbers.
    if (isView) throw this.#refusal(`is a ${nameOf(value)}, which JSON turns into an object of numbers`);
    if (types.isDate(value) && Number.isNaN(value.getTime()))
      throw this.#refusal('is an invalid Date, which JSON turns into null');
    const { toJSON } = value as { readonly toJSON?: unknown };
    this.#within.add(value);
    try {
      if (typeof toJSON === 'function')
        return this.plain((toJSON as (key: string) => unknown).call(value, String(key)), key, depth + 1);
      if (types.isBoxedPrimitive(value)) return this.plain(value.valueOf(), key, depth + 1);
      return Array.isArray(value) ? this.#list(value, depth) : this.#entries(value, depth);
    } finally {
      this.#within.delete(value);
    }
  }

  #list(list: readonly unknown[], depth: number): readonly unknown[] {
    let made: unknown[] | undefined;
    for (let index = 0; index < list.length; index += 1) {
      const element = list[index];
      this.#path.push(index);
      if (element === undefined) {
        const what = index in list ? 'is undefined' : 'is a hole in its list';
        throw this.#refusal(`${what}, which JSON turns into null`);
      }
      const plain = this.plain(element, index, depth + 1);
      if (plain !== element) (made ??= [...list])[index] = plain;
      this.#path.pop();
    }
    const extra = Object.keys(list).length > list.length;
    if (extra) throw this.#refusal('is a list with extra properties, which JSON leaves out');
    return made ?? list;
  }

  #entries(value: object, depth: number): object {
    const keys = Object.keys(value);
    if (!isPlainObject(value)) this.#assertTellsAll(value, keys);
    if (Object.getOwnPropertySymbols(value).some((symbol) => isShown(value, symbol)))
      throw this.#refusal('has a property with a symbol as its name, which JSON leaves out');
    let made: Record<string, unknown> | undefined;
    for (const key of keys) {
      const entry = (value as Readonly<Record<string, unknown>>)[key];
      if (entry === undefined) continue;
      this.#path.push(key);
      if (!this.takesAnyKey && key === '__proto__')
        throw this.#refusal('cannot be handled: consumers refuse an object with such a key');
      if (
        key === 'constructor' &&
        typeof entry === 'object' &&
        entry !== null &&
        Object.hasOwn(entry, 'prototype')
      )
        throw this.#refusal(
          'has a prototype, and cannot be handled: consumers refuse an object with such a key',
        );
      const plain = this.plain(entry, key, depth + 1);
      if (plain !== entry) {
        made ??= { ...value };
        // An assignment to `__proto__` would not make a property.
        Object.defineProperty(made, key, {
          value: plain,
          enumerable: true,
          configurable: true,
          writable: true,
        });
      }
      this.#path.pop();
    }
    return made ?? value;
  }

  /** Refuses instances whose content is not in enumerable properties. */
  #assertTellsAll(value: object, keys: readonly string[]): void {
    const name = nameOf(value);
    if (isOpaque(value))
      throw this.#refusal(`is a ${name}, which JSON turns into ${keys.length === 0 ? '{}' : 'a part of it'}`);
    const prototype = Object.getPrototypeOf(value) as object;
    const hides = keys.length === 0 && Reflect.ownKeys(prototype).some((key) => key !== 'constructor');
    if (hides)
      throw this.#refusal(
        `is a ${name} without own properties, which JSON turns into {}: give it a toJSON()`,
      );
  }

  #refusal(what: string): NotPlainJsonError {
    const path = this.#path.map((key) =>
      typeof key === 'number'
        ? `[${key}]`
        : /^[A-Za-z_$][\w$]*$/.test(key)
          ? `.${key}`
          : `[${JSON.stringify(key)}]`,
    );
    return new NotPlainJsonError(`${this.name}${path.join('')} ${what}`);
  }
}

/** Built-in objects that do not keep their content in properties. */
function isOpaque(value: object): boolean {
  return (
    types.isMap(value) ||
    types.isSet(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isPromise(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isGeneratorObject(value) ||
    types.isMapIterator(value) ||
    types.isSetIterator(value) ||
    value instanceof URLSearchParams ||
    value instanceof WeakRef
  );
}

function isShown(value: object, symbol: symbol): boolean {
  return Object.prototype.propertyIsEnumerable.call(value, symbol);
}

function nameOf(value: object): string {
  const { constructor } = value as { readonly constructor?: { readonly name?: unknown } };
  return typeof constructor === 'function' && typeof constructor.name === 'string'
    ? constructor.name
    : 'object';
}
