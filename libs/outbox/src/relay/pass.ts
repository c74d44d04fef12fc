import { randomUUID } from 'node:crypto';
import { type BoundStatement, bindStatement, invariant } from '@waybill/kernel';
import { relayIntend } from '../statements.generated.js';
import type { Difference, Span } from './difference-reader.js';

/** A pass by its number and token. */
export interface PassId {
  readonly n: number;
  readonly token: string;
}

/** A begun pass: what follows on the newest one. */
export interface Begun extends PassId {
  readonly state: string;
  readonly confirmedN: number;
  readonly base: string;
  readonly target: string;
  readonly windowId: number | null;
  readonly windowEnd: number | null;
  readonly inWindows: boolean;
  /** When the server was started. */
  readonly incarnation: number;
}

/** A pass to be stored in the service's database before its rows are appended: what it takes, exactly. */
export interface NewPass extends PassId {
  readonly before: PassId;
  readonly base: string;
  readonly target: string;
  /** It takes the rows with ids above it, */
  readonly afterId: number;
  /** up to this one. */
  readonly uptoId: number;
  /** The last row between the two snapshots: if it is higher, the next pass goes on from `uptoId`. */
  readonly endId: number;
  readonly rowCount: number;
  /** Rows that were set aside. */
  readonly excluded: readonly number[];
}

/** The rows for a begun pass: all of a small difference, or the next window of a large one. */
export function spanOf(begun: Begun, windowWidth: number): Span {
  const { base, target, windowId, windowEnd } = begun;
  if (!begun.inWindows) return { base, target, window: undefined };
  invariant(windowId !== null && windowEnd !== null, 'a large difference came without its ids');
  return { base, target, window: { after: windowId, upTo: Math.min(windowEnd, windowId + windowWidth) } };
}

/** The pass that took these rows. */
export function newPass(begun: Begun, span: Span, difference: Difference): NewPass {
  const { firstId, lastId, endId, complete, rejected, rows } = difference;
  const { n, token, base, target, windowEnd } = begun;
  const bounds =
    span.window === undefined
      ? { afterId: firstId - 1, uptoId: lastId, endId }
      : {
          afterId: span.window.after,
          uptoId: complete ? span.window.upTo : lastId,
          endId: windowEnd as number,
        };
  return {
    n: n + 1,
    token: randomUUID(),
    before: { n, token },
    base,
    target,
    ...bounds,
    rowCount: rows,
    excluded: rejected.map(({ rowId }) => rowId),
  };
}

/** The statement that stores a pass; `confirmedN` is the newest that the log has answered for. */
export function intend(pass: NewPass, confirmedN: number): BoundStatement {
  const { before, token, base, target, afterId, uptoId, endId, rowCount, excluded } = pass;
  return bindStatement(
    relayIntend,
    before.n,
    before.token,
    token,
    base,
    target,
    afterId,
    uptoId,
    endId,
    rowCount,
    excluded,
    confirmedN,
  );
}

/** The cursor after a pass; undefined while a large difference goes on. */
export function cursorAfter({ uptoId, endId, target }: NewPass): string | undefined {
  return uptoId < endId ? undefined : target;
}
