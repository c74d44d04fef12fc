/** Services on an invoice that cost money and are not stocked: postage, "dotcom" postage, carriage. */
export const SERVICE_CODES: readonly string[] = ['POST', 'DOT', 'C2'];

/** Whether `sku` (upper case) is stocked, so that it is reserved, released and taken back. */
export function isStocked(sku: string): boolean {
  return !SERVICE_CODES.includes(sku);
}
