import type { OrderEvent } from '../machine/saga-event.js';

/** An operator's order: valid only while the saga is as the operator saw it. */
export interface OperatorOrder {
  readonly id: number;
  readonly sagaId: string;
  readonly event: OrderEvent;
  /** The saga's revision that the operator saw. */
  readonly revision: number;
  /** The operator's stated name. */
  readonly by: string;
}
