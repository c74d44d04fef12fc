import type { Delivery } from '@waybill/consumer';
import { type SagaLocks } from '@waybill/saga';
import { callOf } from '@waybill/saga/internal';

/** The saga whose command a handler serves. */
export class SagaContext {
  constructor(
    private readonly delivery: Delivery,
    private readonly locks: SagaLocks,
    readonly id: string,
    /** Names the step to the barrier. */
    readonly branch: string,
    /** `action`, `compensate`, `try`, `confirm` or `cancel`. */
    readonly op: string,
  ) {}

  /**
   * Holds an entity for this saga: commands of other sagas that hold it wait. To be called before anything is written;
   * what it throws is to be let through. It is let go by {@link release}, when this step is compensated, and when the saga
   * has ended.
   *
   * @param entity any name: `sku:85123A`
   */
  hold(entity: string): Promise<void> {
    return this.locks.hold(this.delivery.session, { sagaId: this.id, branch: this.branch }, entity);
  }

  /** Lets an entity go, or all that this saga holds here. Commands that wait for it come again. */
  release(entity?: string): Promise<void> {
    return this.locks.release(this.delivery, this.id, entity === undefined ? {} : { entity });
  }
}

/** The saga of a delivery; undefined for a message that is no command of one. */
export function sagaContextOf(delivery: Delivery, locks: SagaLocks): SagaContext | undefined {
  const call = callOf(delivery.control);
  return call && new SagaContext(delivery, locks, call.gid, call.branch, call.op);
}
