import { types } from 'node:util';

/** A value that JSON would leave out or change. */
export class NotPlainJsonError extends TypeError {
  override readonly name = 'NotPlainJsonError';
}

/** How deep values may be within each other. */
const MAX_DEPTH = 1_000;

/**
 * The value as JSON carries it: itself, or a copy in which what declares a JSON form of its own (`toJSON`, as a Date) has
 * that form. JSON leaves out a property that is undefined, makes 0 of -0, and keeps an instance's enumerable properties;
 * whatever else it would silently change is refused, with the path to it.
 *
 * @param name what the path begins with
 * @param reader who reads it: `anybody`, by readers that refuse keys of JavaScript's own, or `ourselves`
 * @throws NotPlainJsonError
 */
export function plainJson<T>(value: T, name = 'payload', reader: 'anybody' | 'ourselves' = 'anybody'): T {
  return new PlainJson(name, reader === 'ourselves').plain(value, '', 0) as T;
}

/** Whether a value is an object of named entries, and nothing that only looks like one: no list, Map, text or instance. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  // Also those of another realm, as in tests and vm contexts.
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
        throw this.#refusal('is undefined, which JSON has no form for');
      case 'bigint':
      case 'function':
      case 'symbol':
        throw this.#refusal(`is a ${typeof value}, which JSON has no form for`);
    }
  }

  #number(value: number): number {
    if (!Number.isFinite(value)) throw this.#refusal(`is ${value}, of which JSON makes null`);
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw this.#refusal(`is ${value}, a whole number beyond 2^53, which may have been another one`);
    return value;
  }

  #object(value: object, key: string | number, depth: number): unknown {
    if (depth > MAX_DEPTH) throw this.#refusal(`is more than ${MAX_DEPTH} levels deep`);
    if (this.#within.has(value)) throw this.#refusal('holds itself');
    const isView = ArrayBuffer.isView(value);
    // A Buffer declares a JSON form, but comes back as an object of numbers.
    if (isView) throw this.#refusal(`is a ${nameOf(value)}, of which JSON makes an object of numbers`);
    if (types.isDate(value) && Number.isNaN(value.getTime()))
      throw this.#refusal('is an invalid Date, of which JSON makes null');
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
        throw this.#refusal(`${what}, of which JSON makes null`);
      }
      const plain = this.plain(element, index, depth + 1);
      if (plain !== element) (made ??= [...list])[index] = plain;
      this.#path.pop();
    }
    const extra = Object.keys(list).length > list.length;
    if (extra) throw this.#refusal('is a list with properties of its own, which JSON leaves out');
    return made ?? list;
  }

  #entries(value: object, depth: number): object {
    const keys = Object.keys(value);
    if (!isPlainObject(value)) this.#assertTellsAll(value, keys);
    if (Object.getOwnPropertySymbols(value).some((symbol) => isShown(value, symbol)))
      throw this.#refusal('has a property that is named by a symbol, which JSON leaves out');
    let made: Record<string, unknown> | undefined;
    for (const key of keys) {
      const entry = (value as Readonly<Record<string, unknown>>)[key];
      if (entry === undefined) continue;
      this.#path.push(key);
      if (!this.takesAnyKey && key === '__proto__')
        throw this.#refusal('cannot be handled: no consumer reads an object with such a key');
      if (
        key === 'constructor' &&
        typeof entry === 'object' &&
        entry !== null &&
        Object.hasOwn(entry, 'prototype')
      )
        throw this.#refusal(
          'has a prototype, and cannot be handled: no consumer reads an object with such a key',
        );
      const plain = this.plain(entry, key, depth + 1);
      if (plain !== entry) {
        made ??= { ...value };
        // An assignment to `__proto__` would be no property.
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

  /** Refuses instances whose content is not in their properties. */
  #assertTellsAll(value: object, keys: readonly string[]): void {
    const name = nameOf(value);
    if (isOpaque(value))
      throw this.#refusal(`is a ${name}, of which JSON makes ${keys.length === 0 ? '{}' : 'a part'}`);
    const prototype = Object.getPrototypeOf(value) as object;
    const hides = keys.length === 0 && Reflect.ownKeys(prototype).some((key) => key !== 'constructor');
    if (hides)
      throw this.#refusal(
        `is a ${name} without properties of its own, of which JSON makes {}: give it a toJSON()`,
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

/** Objects of the language that keep their content elsewhere than in properties. */
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
