/** A payload as it is printed: never a ciphertext. */
export function payloadText({
  payload,
  unreadable,
}: {
  readonly payload: Buffer | null;
  readonly unreadable: string | null;
}): string {
  if (unreadable !== null) return `(encrypted; give --cipher) ${unreadable}`;
  return payload?.toString('utf8') ?? '(none)';
}
