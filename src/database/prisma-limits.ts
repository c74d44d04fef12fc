/**
 * How long Prisma waits for a connection, and how long a transaction may last. Prisma's own limits of 2 and 5 seconds
 * are for an idle machine; these let a burst of orders queue.
 */
export const PRISMA_TRANSACTION_LIMITS = { maxWait: 10_000, timeout: 20_000 } as const;
