import { Inject, Injectable } from '@nestjs/common';
import { isStocked } from '../contracts/articles.js';
import type { MessageLine } from '../contracts/messages.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import type { InventoryTransaction } from './inventory-prisma.js';

/** Why a level changed. */
export type MovementReason = 'RESERVED' | 'RELEASED' | 'RETURNED';

/** Pieces by article, of lines or of movements. */
export type Pieces = ReadonlyMap<string, number>;

/** The document that a movement is about, and the saga in which it is made. */
export interface MovementCause {
  readonly reason: MovementReason;
  readonly invoiceNo: string;
  readonly sagaId: string;
}

/** Stock levels, and the movements that lead to them. */
@Injectable()
export class StockRepository {
  constructor(@Inject(SHOP_CONFIG) private readonly config: ShopConfig) {}

  /**
   * Locks the articles' rows in order of sku, so that two orders cannot deadlock, and returns their levels.
   * An article that was never requested gets its starting stock.
   */
  async lockLevels(tx: InventoryTransaction, pieces: Pieces): Promise<Pieces> {
    const skus = [...pieces.keys()];
    const { startingStock } = this.config;
    await tx.$executeRaw`
      insert into inventory.stock (sku, starting_level, level)
      select sku, ${startingStock}, ${startingStock} from unnest(${skus}::text[]) as wanted (sku) order by sku
      on conflict (sku) do nothing`;
    const rows = await tx.$queryRaw<{ sku: string; level: number }[]>`
      select sku, level from inventory.stock where sku = any (${skus}::text[]) order by sku for update`;
    return new Map(rows.map(({ sku, level }) => [sku, level]));
  }

  /** Changes the levels of locked articles and leaves a movement for each; negative pieces leave the shelf. */
  async move(tx: InventoryTransaction, pieces: Pieces, cause: MovementCause): Promise<void> {
    const skus = [...pieces.keys()];
    const quantities = [...pieces.values()];
    await tx.$executeRaw`
      update inventory.stock s set level = s.level + moved.quantity
      from unnest(${skus}::text[], ${quantities}::integer[]) as moved (sku, quantity)
      where s.sku = moved.sku`;
    await tx.$executeRaw`
      insert into inventory.stock_movement (sku, quantity, reason, invoice_no, saga_id)
      select sku, quantity, ${cause.reason}, ${cause.invoiceNo}, ${cause.sagaId}
      from unnest(${skus}::text[], ${quantities}::integer[]) as moved (sku, quantity)`;
  }

  /** Pieces set aside for the order and not released, by article. */
  async reservedFor(tx: InventoryTransaction, invoiceNo: string): Promise<Pieces> {
    const rows = await tx.stockMovement.groupBy({
      by: ['sku'],
      where: { invoiceNo },
      _sum: { quantity: true },
    });
    const reserved = rows.map(({ sku, _sum }): [string, number] => [sku, -(_sum.quantity ?? 0)]);
    return new Map(reserved.filter(([, quantity]) => quantity > 0));
  }
}

/** The lines' pieces by article, without articles that are not stocked: an article may be on several lines. */
export function stockedPieces(lines: readonly MessageLine[]): Pieces {
  const pieces = new Map<string, number>();
  for (const { sku, quantity } of lines) {
    if (isStocked(sku)) pieces.set(sku, (pieces.get(sku) ?? 0) + quantity);
  }
  return pieces;
}

/** The same pieces in the other direction. */
export function negated(pieces: Pieces): Pieces {
  return new Map([...pieces].map(([sku, quantity]) => [sku, -quantity]));
}
