import { types } from 'node:util';
import { isPlainObject } from '@waybill/kernel/internal';
import { isStorable } from '@waybill/outbox/internal';
import { NAME, NAME_RULE } from './names.js';

/** The value of an attribute. A number and the string of its digits match each other. */
export type AttributeValue = string | number | boolean;

/** Makes the attributes of a saga from its data. Undefined ones are left out. */
export type AttributesOf<Data = Readonly<Record<string, unknown>>> = (
  data: Data,
) => Readonly<Record<string, AttributeValue | undefined>>;

/** An attribute as it is stored. */
export interface StoredAttribute {
  readonly name: string;
  readonly kind: 'string' | 'number' | 'boolean';
  readonly value: string;
}

const MAX_ATTRIBUTES = 20;
/** Longest string, in characters. */
const MAX_CHARS = 200;

/**
 * Attributes as they are stored, by name, and the problems found. A problem never contains a value: it may be personal data.
 */
export function storedAttributes(given: unknown): {
  readonly attributes: readonly StoredAttribute[];
  readonly problems: readonly string[];
} {
  if (types.isPromise(given)) {
    silence(given);
    return { attributes: [], problems: ['they must be returned synchronously, not as a promise'] };
  }
  if (!isPlainObject(given)) return { attributes: [], problems: ['they must be a plain object'] };
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  for (const [, value] of entries) if (types.isPromise(value)) silence(value);
  const problems = entries.flatMap(([name, value]) => problemOf(name, value) ?? []);
  if (entries.length > MAX_ATTRIBUTES)
    problems.push(`there may be up to ${MAX_ATTRIBUTES}, got ${entries.length}`);
  const attributes = entries.map(([name, value]) => ({
    name,
    kind: typeof value as StoredAttribute['kind'],
    value: String(value as AttributeValue),
  }));
  if (problems.length > 0) return { attributes: [], problems };
  return { attributes: attributes.toSorted((one, other) => (one.name < other.name ? -1 : 1)), problems };
}

/** An attribute as returned by the definition. */
export function shownAttribute({ kind, value }: Omit<StoredAttribute, 'name'>): AttributeValue {
  if (kind === 'number') return Number(value);
  return kind === 'boolean' ? value === 'true' : value;
}

function problemOf(name: string, value: unknown): string | undefined {
  if (!NAME.test(name)) return `the name ${JSON.stringify(name.slice(0, 100))} ${NAME_RULE}`;
  const why = problemOfValue(value);
  return why === undefined ? undefined : `${name} ${why}`;
}

function problemOfValue(value: unknown): string | undefined {
  if (typeof value === 'boolean') return undefined;
  if (typeof value === 'number')
    return Number.isFinite(value) ? undefined : `must be a finite number, got ${value}`;
  if (typeof value !== 'string') return `must be a string, a number or a boolean, got ${kindOf(value)}`;
  if (value === '' || value.length > MAX_CHARS)
    return `must be a string of 1 to ${MAX_CHARS} characters, has ${value.length}`;
  return isStorable(value) ? undefined : 'contains NUL or a lone surrogate, which cannot be stored';
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return types.isPromise(value) ? 'a promise' : `a ${typeof value}`;
}

/** A promise that rejects later must not end the process. */
function silence(promise: Promise<unknown>): void {
  void Promise.prototype.then.call(promise, undefined, () => {});
}
