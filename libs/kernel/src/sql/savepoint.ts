import { type Statement, statement } from './statement.js';

/** The statements of a savepoint. */
export interface Savepoint {
  readonly set: Statement<[], Record<never, never>>;
  readonly goBack: Statement<[], Record<never, never>>;
  /** Keeps all that followed it; fails if the transaction has failed. */
  readonly release: Statement<[], Record<never, never>>;
}

/** The savepoint statements of one kind of work. */
export function savepointOf(kind: 'delivery' | 'participant' | 'request' | 'saga' | 'child'): Savepoint {
  return {
    set: statement(`${kind}-savepoint`, `savepoint waybill_${kind}`),
    goBack: statement(`${kind}-rollback-to-savepoint`, `rollback to savepoint waybill_${kind}`),
    release: statement(`${kind}-release-savepoint`, `release savepoint waybill_${kind}`),
  };
}
