/** Services on an invoice that cost money and stand on no shelf: postage, "dotcom" postage, carriage. */
export const SERVICE_CODES: readonly string[] = ['POST', 'DOT', 'C2'];

/** Whether `sku` (upper case) stands on a shelf, so that it is reserved, released and taken back. */
export function isStocked(sku: string): boolean {
  return !SERVICE_CODES.includes(sku);
}
