/**
 * Entries under names that users choose. It has no prototype: `constructor` exists only if it was added, and
 * `__proto__` is an ordinary name.
 */
export function dictionary<T>(entries: Readonly<Record<string, T>> = {}): Record<string, T> {
  const made = Object.create(null) as Record<string, T>;
  for (const [name, value] of Object.entries(entries)) made[name] = value;
  return made;
}

/** An own property of an object that a user passed; inherited properties are ignored. */
export function own<T>(entries: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return entries !== undefined && Object.hasOwn(entries, name) ? entries[name] : undefined;
}
