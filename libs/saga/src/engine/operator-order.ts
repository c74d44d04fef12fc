import type { OrderEvent } from '../machine/saga-event.js';

/** An operator's order: it counts only while the saga is as the operator saw it. */
export interface OperatorOrder {
  readonly id: number;
  readonly sagaId: string;
  readonly event: OrderEvent;
  /** The saga's revision that the operator saw. */
  readonly revision: number;
  /** The name that the operator gave. */
  readonly by: string;
}
