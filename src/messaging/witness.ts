import type { WaybillContext } from '@waybill/nestjs';

/**
 * The part of the services' Prisma transactions that records what was published, which messages took effect, and
 * which steps of sagas did. The reconciliation compares these rows, which share the business transactions, with
 * each other and with the outcomes; it need not rely on Waybill's own books.
 */
export interface PublishingTransaction {
  $queryRawUnsafe<T = unknown>(query: string, ...values: unknown[]): PromiseLike<T>;
  $executeRawUnsafe(query: string, ...values: unknown[]): PromiseLike<number>;
  readonly publishedMessage: {
    create(args: { data: { messageId: string; topic: string; key: string } }): PromiseLike<unknown>;
  };
}

/** Like {@link PublishingTransaction}, for a service that handles events. */
export interface EffectTransaction {
  readonly effect: {
    create(args: {
      data: { messageId: string; topic: string; partition: number; offset: bigint; key: string };
    }): PromiseLike<unknown>;
  };
}

/** A step of a saga that has taken effect. */
export interface TakenStep {
  readonly sagaId: string;
  readonly invoiceNo: string;
  readonly step: string;
  readonly op: 'action' | 'compensate';
}

/** Like {@link PublishingTransaction}, for a service that performs steps of sagas. */
export interface StepTransaction {
  readonly stepEffect: { create(args: { data: TakenStep }): PromiseLike<unknown> };
}

/** Records that the event of `ctx` takes effect, in the transaction of its handler. */
export async function recordEffect(ctx: WaybillContext<EffectTransaction>): Promise<void> {
  const { topic, partition, offset, key, messageId } = ctx;
  await ctx.transaction.effect.create({
    data: { messageId: messageId ?? '', topic, partition, offset: BigInt(offset), key: key ?? '' },
  });
}

/** Records that the command of `ctx` takes effect, in the transaction of its handler. */
export async function recordCommand(ctx: WaybillContext<StepTransaction>, invoiceNo: string): Promise<void> {
  const { id: sagaId, branch: step, op } = sagaOf(ctx);
  await recordStep(ctx.transaction, {
    sagaId,
    invoiceNo,
    step,
    op: op === 'compensate' ? 'compensate' : 'action',
  });
}

/** Records that a step takes effect, in that transaction. */
export async function recordStep(tx: StepTransaction, taken: TakenStep): Promise<void> {
  await tx.stepEffect.create({ data: taken });
}

/** The saga whose command this is. The shop's commands come from sagas only. */
export function sagaOf({ saga }: Pick<WaybillContext, 'saga'>): NonNullable<WaybillContext['saga']> {
  if (saga === undefined) throw new TypeError('the message is not a saga command');
  return saga;
}
