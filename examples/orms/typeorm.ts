import { Controller, Module } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { Outbox, typeormTransactions, WaybillContext, WaybillModule } from '@waybill/nestjs';
import { DataSource, type EntityManager, EntitySchema } from 'typeorm';

const connectionString = process.env['DATABASE_URL'] ?? 'postgresql://localhost/shop';

const Stock = new EntitySchema<{ sku: string; level: number }>({
  name: 'Stock',
  tableName: 'stock',
  columns: { sku: { type: 'text', primary: true }, level: { type: 'int' } },
});

@Controller()
export class Articles {
  constructor(
    private readonly dataSource: DataSource,
    private readonly outbox: Outbox,
  ) {}

  async add(sku: string): Promise<void> {
    await this.dataSource.transaction(async (tx) => {
      await tx.insert(Stock, { sku, level: 0 });
      await this.outbox.publish(tx, { topic: 'articles.added', key: sku, payload: { sku, pieces: 10 } });
    });
  }

  @EventPattern<string>('articles.added')
  async fill(
    @Payload() { sku, pieces }: { sku: string; pieces: number },
    @Ctx() context: WaybillContext<EntityManager>,
  ): Promise<void> {
    await context.transaction.increment(Stock, { sku }, 'level', pieces);
  }
}

@Module({
  providers: [
    {
      provide: DataSource,
      useFactory: () =>
        new DataSource({ type: 'postgres', url: connectionString, entities: [Stock] }).initialize(),
    },
  ],
  exports: [DataSource],
})
class DatabaseModule {}

@Module({
  imports: [
    DatabaseModule,
    WaybillModule.forRootAsync({
      imports: [DatabaseModule],
      inject: [DataSource],
      useFactory: (dataSource: DataSource) => ({
        database: { connectionString },
        group: 'articles',
        topics: { 'articles.added': {} },
        transactions: typeormTransactions(dataSource),
      }),
    }),
  ],
  controllers: [Articles],
})
export class AppModule {}
