import { type Statement, statement } from './statement.js';

/** A savepoint: what sets it, and what takes back all that came behind it. */
export interface Savepoint {
  readonly set: Statement<[], Record<never, never>>;
  readonly goBack: Statement<[], Record<never, never>>;
  /** Keeps what came behind it; fails where the transaction has failed. */
  readonly release: Statement<[], Record<never, never>>;
}

/** The savepoint of one kind of work. */
export function savepointOf(kind: 'delivery' | 'participant' | 'request' | 'saga' | 'child'): Savepoint {
  return {
    set: statement(`${kind}-savepoint`, `savepoint waybill_${kind}`),
    goBack: statement(`${kind}-rollback-to-savepoint`, `rollback to savepoint waybill_${kind}`),
    release: statement(`${kind}-release-savepoint`, `release savepoint waybill_${kind}`),
  };
}
