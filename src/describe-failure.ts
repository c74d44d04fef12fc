/**
 * What to print about an error that ends a program: its message alone when it was foreseen (it carries a `code`), the
 * stack when it was not.
 */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const foreseen = 'code' in error && typeof error.code === 'string';
  return foreseen ? `${error.message} [${String(error.code)}]` : (error.stack ?? error.message);
}
