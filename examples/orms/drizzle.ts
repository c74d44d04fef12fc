import { Controller, Inject, Module } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { drizzleTransactions, Outbox, WaybillContext, WaybillModule } from '@waybill/nestjs';
import { eq, sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { Pool } from 'pg';

const connectionString = process.env['DATABASE_URL'] ?? 'postgresql://localhost/shop';

const stock = pgTable('stock', { sku: text().primaryKey(), level: integer().notNull() });

const DATABASE = Symbol('database');
/** Drizzle's transaction, as handlers get it. */
type Transaction = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

@Controller()
export class Articles {
  constructor(
    @Inject(DATABASE) private readonly db: NodePgDatabase,
    private readonly outbox: Outbox,
  ) {}

  async add(sku: string): Promise<void> {
    await this.db.transaction(async (tx) => {
      await tx.insert(stock).values({ sku, level: 0 });
      await this.outbox.publish(tx, { topic: 'articles.added', key: sku, payload: { sku, pieces: 10 } });
    });
  }

  @EventPattern<string>('articles.added')
  async fill(
    @Payload() { sku, pieces }: { sku: string; pieces: number },
    @Ctx() context: WaybillContext<Transaction>,
  ): Promise<void> {
    await context.transaction
      .update(stock)
      .set({ level: sql`${stock.level} + ${pieces}` })
      .where(eq(stock.sku, sku));
  }
}

@Module({
  providers: [
    { provide: Pool, useFactory: () => new Pool({ connectionString }) },
    { provide: DATABASE, inject: [Pool], useFactory: (pool: Pool) => drizzle(pool) },
  ],
  exports: [Pool, DATABASE],
})
class DatabaseModule {}

@Module({
  imports: [
    DatabaseModule,
    WaybillModule.forRootAsync({
      imports: [DatabaseModule],
      inject: [DATABASE],
      useFactory: (db: NodePgDatabase) => ({
        database: { connectionString },
        group: 'articles',
        topics: { 'articles.added': {} },
        transactions: drizzleTransactions(db),
      }),
    }),
  ],
  controllers: [Articles],
})
export class AppModule {}
