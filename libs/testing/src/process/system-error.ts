/**
 * Whether the operating system refused with this code, for example ENOENT. Not by `instanceof Error`: under Jest the
 * errors of Node's own modules belong to another realm.
 */
export function isSystemError(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

/** A line that describes an error of any origin. */
export function describeError(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('message' in error)) return String(error);
  const { message } = error;
  // An AggregateError of refused connections has no message of its own.
  return String(message === '' && 'code' in error ? error.code : message);
}
