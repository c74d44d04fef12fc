import type { TransactionRunner } from '@waybill/kernel';

/**
 * Creates the runner of handlers' transactions once the schema is known, and whether Waybill's own statements may stay
 * prepared; see {@link prismaTransactions} and the functions like it.
 */
export type TransactionRunnerFactory = (schema: string, prepared: boolean) => TransactionRunner;
