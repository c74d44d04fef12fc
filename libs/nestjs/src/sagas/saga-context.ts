import type { Delivery } from '@waybill/consumer';
import { type SagaLocks } from '@waybill/saga';
import { callOf } from '@waybill/saga/internal';

/** The saga whose command a handler runs. */
export class SagaContext {
  constructor(
    private readonly delivery: Delivery,
    private readonly locks: SagaLocks,
    readonly id: string,
    /** Identifies the step to the barrier. */
    readonly branch: string,
    /** `action`, `compensate`, `try`, `confirm` or `cancel`. */
    readonly op: string,
  ) {}

  /**
   * Locks an entity for this saga: commands of other sagas that lock it wait. Call it before any write, and do not
   * catch what it throws. The lock is released by {@link release}, when this step is compensated, and when the saga
   * ends.
   *
   * @param entity any name: `sku:85123A`
   */
  hold(entity: string): Promise<void> {
    return this.locks.hold(this.delivery.session, { sagaId: this.id, branch: this.branch }, entity);
  }

  /** Releases an entity, or all that this saga holds here. Commands that wait for it are delivered again. */
  release(entity?: string): Promise<void> {
    return this.locks.release(this.delivery, this.id, entity === undefined ? {} : { entity });
  }
}

/** The saga of a delivery; undefined if the message is not a saga command. */
export function sagaContextOf(delivery: Delivery, locks: SagaLocks): SagaContext | undefined {
  const call = callOf(delivery.control);
  return call && new SagaContext(delivery, locks, call.gid, call.branch, call.op);
}
