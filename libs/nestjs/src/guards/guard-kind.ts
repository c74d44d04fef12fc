/** The guards that a handler can use. */
export const GUARD_KINDS = ['entry', 'message-id', 'lease'] as const;

/**
 * How a repeated delivery is recognised.
 *
 * - `entry`: by its place in the log. Its position or mark is stored in the handler's transaction.
 * - `message-id`: by its id, stored in the handler's transaction; for producers that may send a message twice.
 * - `lease`: by its id, under a lease, for a handler whose effect is outside of any transaction.
 */
export type IdempotentGuard = (typeof GUARD_KINDS)[number];
