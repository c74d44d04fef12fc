import { type SqlSession, type Statement, translateDatabaseError } from '@waybill/kernel';
import { renderSql } from '@waybill/kernel/internal';

/** The part of a Prisma client, or of the client of an interactive transaction, that Waybill uses. */
export interface PrismaRawClient {
  $queryRawUnsafe<T = unknown>(query: string, ...values: unknown[]): PromiseLike<T>;
  $executeRawUnsafe(query: string, ...values: unknown[]): PromiseLike<number>;
}

/**
 * A {@link SqlSession} over Prisma. "Unsafe" is only Prisma's word for a text that is not a tagged template:
 * the texts come from Waybill's `.sql` files, and every value is a parameter.
 */
export class PrismaSession implements SqlSession {
  constructor(
    private readonly client: PrismaRawClient,
    readonly schema: string,
  ) {}

  async run<Params extends readonly unknown[], Row>(
    statement: Statement<Params, Row>,
    ...params: Params
  ): Promise<Row[]> {
    try {
      const rows = await this.client.$queryRawUnsafe<Row[]>(
        renderSql(statement.text, this.schema),
        ...params,
      );
      return rows.map(asByPg) as Row[];
    } catch (error) {
      throw translateDatabaseError(error, `Running ${statement.name} with Prisma`);
    }
  }
}

/** Prisma reads int8 as BigInt and bytea as Uint8Array; Waybill expects numbers and Buffers, as from pg. */
function asByPg(row: unknown): unknown {
  const entries = Object.entries(row as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, value]) => [name, valueAsByPg(value)]));
}

function valueAsByPg(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value) && typeof value[0] === 'bigint') return value.map(Number);
  return value;
}
