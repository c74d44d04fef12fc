/**
 * Entries by names that users choose. It has no prototype: `constructor` is there only when somebody put it there, and
 * `__proto__` is a name like any other.
 */
export function dictionary<T>(entries: Readonly<Record<string, T>> = {}): Record<string, T> {
  const made = Object.create(null) as Record<string, T>;
  for (const [name, value] of Object.entries(entries)) made[name] = value;
  return made;
}

/** What stands under a name in an object that users gave; nothing of what every object has by itself. */
export function own<T>(entries: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return entries !== undefined && Object.hasOwn(entries, name) ? entries[name] : undefined;
}
