import { types } from 'node:util';
import { ConfigurationError } from './errors/usage-errors.js';

/** How one option is checked, and its default. */
export interface OptionSpec<T> {
  readonly default: T;
  /** Returns what is wrong with `value`, or undefined. */
  check(value: unknown): string | undefined;
}

/** A whole number from `min` to `max`. The name of such an option ends in its unit. */
export function wholeNumber(spec: { default: number; min: number; max: number }): OptionSpec<number> {
  return {
    default: spec.default,
    check: (value) =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= spec.min && value <= spec.max
        ? undefined
        : `must be a whole number from ${spec.min} to ${spec.max}, got ${show(value)}`,
  };
}

/** True or false. */
export function flag(byDefault: boolean): OptionSpec<boolean> {
  return {
    default: byDefault,
    check: (value) => (typeof value === 'boolean' ? undefined : `must be true or false, got ${show(value)}`),
  };
}

/** One of a few words. */
export function oneOf<const T extends string>(words: readonly T[], byDefault: NoInfer<T>): OptionSpec<T> {
  return {
    default: byDefault,
    check: (value) =>
      words.includes(value as T) ? undefined : `must be one of ${words.join(', ')}, got ${show(value)}`,
  };
}

/** A text that matches `pattern`; `meaning` describes it in words. */
export function text(spec: { default: string; pattern: RegExp; meaning: string }): OptionSpec<string> {
  return {
    default: spec.default,
    check: (value) =>
      typeof value === 'string' && spec.pattern.test(value)
        ? undefined
        : `must be ${spec.meaning}, got ${show(value)}`,
  };
}

/** Specs by option name. */
export type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>;

/** The resolved options: all present and read-only. */
export type Resolved<S extends OptionSpecs> = {
  readonly [K in keyof S]: S[K] extends OptionSpec<infer T> ? T : never;
};

/** The options as a caller gives them. */
export type Given<S extends OptionSpecs> = { readonly [K in keyof S]?: Resolved<S>[K] | undefined };

/**
 * Fills in defaults and checks every option, and relations between options.
 *
 * @param subject what the options belong to, for the message
 * @param relations returns a sentence for every relation that does not hold
 * @throws ConfigurationError listing every problem; an unknown name is refused with the nearest known one
 */
export function resolveOptions<S extends OptionSpecs>(
  subject: string,
  specs: S,
  given: Given<S> | undefined,
  relations: (resolved: Resolved<S>) => readonly string[] = () => [],
): Resolved<S> {
  const problems: string[] = [];
  const resolved: Record<string, unknown> = {};
  const values: Readonly<Record<string, unknown>> = given ?? {};
  for (const name of Object.keys(values)) {
    if (!Object.hasOwn(specs, name)) problems.push(unknownName(name, Object.keys(specs)));
  }
  for (const [name, spec] of Object.entries(specs)) {
    const value = values[name] === undefined ? spec.default : values[name];
    const problem = spec.check(value);
    if (problem !== undefined) problems.push(`${name} ${problem}`);
    resolved[name] = value;
  }
  if (problems.length === 0) problems.push(...relations(resolved as Resolved<S>));
  if (problems.length > 0)
    throw new ConfigurationError(`The options of the ${subject} are not usable`, problems);
  return Object.freeze(resolved) as Resolved<S>;
}

/** A sentence that an option's name is not known, with the nearest known one. */
export function unknownName(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  const hint = nearest === undefined ? `known are ${known.join(', ')}` : `did you mean ${nearest}?`;
  return `there is no option ${show(name)}, ${hint}`;
}

/** The known name that `name` was probably meant to be; undefined when none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const [nearest] = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  if (nearest === undefined || nearest.distance > Math.max(2, name.length / 2)) return undefined;
  return nearest.candidate;
}

/** Levenshtein distance (V. Levenshtein, 1965), by the two-row form of the Wagner-Fischer algorithm. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** A moment from 1970 to the end of the year 9999. Its name ends in `At`, or says what is before or after it. */
export function moment(): { check(value: unknown): string | undefined } {
  return {
    check: (value) =>
      types.isDate(value) && value.getTime() >= 0 && value.getTime() <= LATEST_MS
        ? undefined
        : `must be a Date from 1970 to 9999, got ${show(value)}`,
  };
}

const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Shows any value in a message, in at most 80 characters. Never throws. */
export function show(value: unknown): string {
  const shown = typeof value === 'string' ? JSON.stringify(value) : asText(value);
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}

function asText(value: unknown): string {
  try {
    return String(value);
  } catch {
    return `a value that cannot be shown (${typeof value})`;
  }
}
