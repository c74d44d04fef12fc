import type { TransactionRunner } from '@waybill/kernel';

/**
 * Makes the runner of handlers' transactions once the schema is known, and whether Waybill's own statements may be kept
 * prepared; see {@link prismaTransactions} and its kin.
 */
export type TransactionRunnerFactory = (schema: string, prepared: boolean) => TransactionRunner;
