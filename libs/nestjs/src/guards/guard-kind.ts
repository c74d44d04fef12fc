/** The guards that a handler can have. */
export const GUARD_KINDS = ['entry', 'message-id', 'lease'] as const;

/**
 * What a delivery is known by when it comes again.
 *
 * - `entry`: its place in the log. Position, mark or inbox row say that it is done, in the handler's transaction.
 * - `message-id`: its id, kept in the handler's transaction; for producers that may send a message twice.
 * - `lease`: its id, under a lease, for a handler whose effect is in no transaction.
 */
export type IdempotentGuard = (typeof GUARD_KINDS)[number];
