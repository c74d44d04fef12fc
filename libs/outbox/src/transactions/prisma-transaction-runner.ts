import { OrmTransactionRunner } from './orm-transaction-runner.js';
import type { PrismaRawClient } from './prisma-session.js';
import { prismaOpener, type PrismaTransactions } from './prisma-transaction.js';

/** Runs handlers' transactions as interactive transactions of Prisma. */
export class PrismaTransactionRunner<Handle extends PrismaRawClient> extends OrmTransactionRunner<Handle> {
  constructor(client: PrismaTransactions<Handle>, schema: string) {
    super(prismaOpener(client), schema);
  }
}
