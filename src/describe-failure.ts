/**
 * The text to print for an error that ends a program: only its message if it was expected (it has a `code`), the
 * stack if not.
 */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const foreseen = 'code' in error && typeof error.code === 'string';
  return foreseen ? `${error.message} [${String(error.code)}]` : (error.stack ?? error.message);
}
