import type { WaybillContext } from '@waybill/nestjs';

/**
 * What every service's Prisma transaction can do: keep witness of what was published and of what took effect. The
 * reconciliation compares these rows, which share the transactions of the business, with each other; it need not
 * believe Waybill's own books.
 */
export interface WitnessTransaction {
  $queryRawUnsafe<T = unknown>(query: string, ...values: unknown[]): PromiseLike<T>;
  $executeRawUnsafe(query: string, ...values: unknown[]): PromiseLike<number>;
  readonly publishedMessage: {
    create(args: { data: { messageId: string; topic: string; key: string } }): PromiseLike<unknown>;
  };
  readonly effect: {
    create(args: {
      data: { messageId: string; topic: string; partition: number; offset: bigint; key: string };
    }): PromiseLike<unknown>;
  };
}

/** Records that the message of `ctx` takes effect, in the transaction of its handler. */
export async function recordEffect(ctx: WaybillContext<WitnessTransaction>): Promise<void> {
  const { topic, partition, offset, key } = ctx;
  await ctx.transaction.effect.create({
    data: { messageId: messageIdOf(ctx), topic, partition, offset: BigInt(offset), key: key ?? '' },
  });
}

/** The id of the message; those of the shop all have one. */
export function messageIdOf({ messageId }: WaybillContext): string {
  return messageId ?? '';
}
