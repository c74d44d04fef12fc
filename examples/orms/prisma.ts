import { Controller, Module } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { PrismaPg } from '@prisma/adapter-pg';
import { Outbox, prismaTransactions, WaybillContext, WaybillModule } from '@waybill/nestjs';
// The client that `prisma generate` makes from your schema; here that of the sample shop (prisma/inventory).
import { type Prisma, PrismaClient } from '../../src/inventory/generated/client.js';

const connectionString = process.env['DATABASE_URL'] ?? 'postgresql://localhost/shop';

@Controller()
export class Articles {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly outbox: Outbox,
  ) {}

  async add(sku: string): Promise<void> {
    await this.prisma.$transaction(async (tx) => {
      await tx.stock.create({ data: { sku, startingLevel: 0, level: 0 } });
      await this.outbox.publish(tx, { topic: 'articles.added', key: sku, payload: { sku, pieces: 10 } });
    });
  }

  @EventPattern<string>('articles.added')
  async fill(
    @Payload() { sku, pieces }: { sku: string; pieces: number },
    @Ctx() context: WaybillContext<Prisma.TransactionClient>,
  ): Promise<void> {
    await context.transaction.stock.update({ where: { sku }, data: { level: { increment: pieces } } });
  }
}

@Module({
  providers: [
    {
      provide: PrismaClient,
      useFactory: () => new PrismaClient({ adapter: new PrismaPg({ connectionString }) }),
    },
  ],
  exports: [PrismaClient],
})
class DatabaseModule {}

@Module({
  imports: [
    DatabaseModule,
    WaybillModule.forRootAsync({
      imports: [DatabaseModule],
      inject: [PrismaClient],
      useFactory: (prisma: PrismaClient) => ({
        database: { connectionString },
        group: 'articles',
        topics: { 'articles.added': {} },
        transactions: prismaTransactions(prisma),
      }),
    }),
  ],
  controllers: [Articles],
})
export class AppModule {}
