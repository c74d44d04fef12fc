import {
  BarrierNameError,
  BarrierRefusedError,
  type Given,
  resolveOptions,
  type SqlSession,
  wholeNumber,
} from '@waybill/kernel';
import { runAhead } from '@waybill/kernel/internal';
import type { Sealer } from '@waybill/log';
import {
  barrierAbandon,
  barrierEnd,
  barrierCall,
  barrierKeep,
  barrierOngoing,
  barrierPardon,
  barrierPass,
  barrierReject,
  barrierTombstone,
} from '../statements.generated.js';
import { decodeResult, encodeResult, StoredResults } from '../message-id/stored-result.js';

const DAY_MS = 86_400_000;

const SPECS = {
  /** Operations whose gid was made longer ago are refused, in milliseconds. The rows are kept for 90 days in any case. */
  retentionMs: wholeNumber({ default: 90 * DAY_MS, min: 60_000, max: 90 * DAY_MS }),
  /** How long to wait for another transaction that is at the same operation, in milliseconds. */
  waitMs: wholeNumber({ default: 5_000, min: 1, max: 600_000 }),
  /** Largest result that is kept, in bytes of JSON. */
  maxResultBytes: wholeNumber({ default: 65_536, min: 0, max: 16_777_216 }),
};

/** Options of a {@link Barrier}. */
export type BarrierOptions = Given<typeof SPECS>;

/** Names an operation that happens once, or not at all: a half message's local transaction, a step of a saga. */
export interface BarrierName {
  /** Of the whole: a UUID of version 7, as newId makes them; the half message's id. */
  readonly gid: string;
  /** Of a part of it, up to 255 characters. */
  readonly branch: string;
  readonly op: string;
}

/** What an operation of a distributed transaction may be, and what it takes back. */
const ORIGINS = {
  action: null,
  compensate: 'action',
  try: null,
  confirm: null,
  cancel: 'try',
  msg: null,
} as const;

/** An operation of a distributed transaction. `compensate` takes back `action`, and `cancel` takes back `try`. */
export type BarrierOp = keyof typeof ORIGINS;

/** Names an operation of a distributed transaction. */
export interface BarrierCall extends BarrierName {
  readonly op: BarrierOp;
  /** When the operation was begun, in milliseconds after the time in the gid: its age counts from then. Default 0. */
  readonly begunMs?: number;
  /** The operation that this one takes back. Default: begun at the time in the gid, and not known to be done. */
  readonly origin?: {
    readonly begunMs: number;
    /** Whether the caller knows by an answer that it was done; counts where the barrier has forgotten it. */
    readonly isDone: boolean;
  };
}

/** What an operation that goes on behind its transaction has done so far: nothing, or something to take back. */
export type OngoingState = 'ongoing' | 'ongoing-effect';

/** How an operation stands that was to be answered: it went on until then, or why it cannot be answered any more. */
export type EndedState = 'ongoing' | 'done' | 'rejected' | 'taken-back' | 'unknown';

/** What became of an operation. */
export type BarrierOutcome<T> =
  /** The work was done now. */
  | { readonly outcome: 'done'; readonly result: T }
  /** It has been done before; `result` is what it came to, undefined if that was undefined. */
  | { readonly outcome: 'duplicate'; readonly result: T | undefined }
  /** There is nothing to take back, and will never be. */
  | { readonly outcome: 'empty' }
  /** It came behind what takes it back, or was rejected before, and must not happen any more. */
  | { readonly outcome: 'refused' };

/** Longest branch, in characters: it stands in an index. */
const BRANCH_MAX = 255;

/**
 * The barrier of dtm (dtm-labs, `client/dtmcli/barrier.go`): an operation's transaction writes a row under the
 * operation's name first, and anyone who gives the operation up writes a tombstone under the same name. Only one of the two
 * can be there, whenever they come. The table lies in the database of the business rows, in Waybill's schema.
 *
 * Any isolation level will do: in READ COMMITTED the later of two waits for the first and sees what it left; with a fixed
 * snapshot it can fail by TransactionConflictError instead, and is to be run again.
 */
export class Barrier {
  readonly #options;
  readonly #results: StoredResults;

  /**
   * @param sealer encrypts results. Default: one without a cipher
   * @throws ConfigurationError
   */
  constructor(options: BarrierOptions = {}, sealer?: Sealer) {
    this.#options = resolveOptions('barrier', SPECS, options);
    this.#results = new StoredResults('barrier-result', sealer);
  }

  /**
   * Does an operation of a distributed transaction once, whatever comes twice, late, or in the wrong order. It must be the
   * first write of the transaction of `session`, and `work` writes in that transaction. When `work` throws, the
   * transaction cannot be committed any more.
   *
   * @returns what became of it; the result is kept for duplicates, as JSON, unless it is undefined
   * @throws whatever `work` throws
   * @throws BarrierNameError when the gid is no UUIDv7, or the operation too old or more than a day ahead
   * @throws BarrierForgottenError when what it takes back is too old, and is not known to be done
   * @throws TransactionConflictError when another transaction is still at it after `waitMs`, or has been at it
   * @throws ResultTooLargeError, ResultNotSerializableError; nothing is committed
   */
  async call<T>(session: SqlSession, name: BarrierCall, work: () => Promise<T>): Promise<BarrierOutcome<T>> {
    const { gid, branch, op, begunMs = 0, origin = { begunMs: 0, isDone: false } } = name;
    assertCall(name);
    const { waitMs, retentionMs, maxResultBytes } = this.#options;
    const limits = [waitMs, retentionMs] as const;
    const times = [begunMs, origin.begunMs, origin.isDone] as const;
    const [row] = await session.run(barrierCall, gid, branch, op, ORIGINS[op], ...limits, ...times);
    const what = `${gid}/${branch}/${op}`;
    if (row?.outcome === 'empty' || row?.outcome === 'refused') return { outcome: row.outcome };
    if (row?.outcome !== 'done') {
      const kept = await this.#results.open(session, row?.result ?? null, [gid, branch, op]);
      const result = kept === null ? undefined : decodeResult<T>(kept, what, maxResultBytes);
      return { outcome: 'duplicate', result };
    }
    try {
      const result = await work();
      const kept = encodeResult(result, maxResultBytes);
      if (kept === null) return { outcome: 'done', result };
      const read = decodeResult<T>(kept, what, maxResultBytes);
      const sealed = this.#results.seal(kept, [gid, branch, op]) ?? kept;
      await runAhead(session, barrierKeep, gid, branch, op, sealed, begunMs);
      return { outcome: 'done', result: read };
    } catch (error) {
      // A caller that swallows the error must not commit the barrier's row: the work would never be done.
      await session.run(barrierAbandon).catch(() => {});
      throw error;
    }
  }

  /**
   * Notes that an operation was rejected by the business: a copy that comes later is refused, and what would take it back
   * is `empty`. To be called in the same transaction, after what {@link call} has written was rolled back to a savepoint.
   * @throws BarrierNameError as {@link call}
   */
  async reject(session: SqlSession, name: BarrierCall): Promise<void> {
    assertCall(name);
    const { gid, branch, op, begunMs = 0 } = name;
    await session.run(barrierReject, gid, branch, op, this.#options.retentionMs, begunMs);
  }

  /**
   * Notes that an operation which {@link call} has let pass in this transaction ends later, by {@link answer}. What takes it
   * back before that is `empty` and bars the answer; where it has had an effect already, that is taken back.
   */
  async ongoing(session: SqlSession, name: BarrierCall, state: OngoingState): Promise<void> {
    const { gid, branch, op, begunMs = 0 } = name;
    await session.run(barrierOngoing, gid, branch, op, begunMs, state);
  }

  /**
   * Ends an operation that goes on, in the transaction of what it comes to, unless it is over: then that must be rolled back.
   * @param as `ongoing` ends nothing and only looks
   * @returns how it stood; it has been ended if it was `ongoing`
   * @throws TransactionConflictError when another transaction is still at it after `waitMs`
   * @throws BarrierNameError as {@link call}, but for its age
   */
  async end(
    session: SqlSession,
    name: BarrierCall,
    as: 'done' | 'rejected' | 'ongoing',
  ): Promise<EndedState> {
    assertCall(name);
    const { gid, branch, op, begunMs = 0 } = name;
    const reason = as === 'done' ? op : as === 'rejected' ? as : null;
    const { waitMs } = this.#options;
    const [row] = await session.run(barrierEnd, gid, branch, op, begunMs, reason, waitMs);
    const stood = row?.reason ?? null;
    if (stood === null) return 'unknown';
    if (stood === 'ongoing' || stood === 'ongoing-effect') return 'ongoing';
    if (stood === op) return 'done';
    return stood === 'rejected' ? stood : 'taken-back';
  }

  /** Takes a rejection back, in the current transaction: the operation may happen after all. */
  async pardon(session: SqlSession, name: BarrierCall): Promise<void> {
    assertCall(name);
    const { gid, branch, op, begunMs = 0 } = name;
    await session.run(barrierPardon, gid, branch, op, begunMs);
  }

  /**
   * Passes the barrier. It must be the first write of the transaction of `session`.
   * @throws BarrierRefusedError when there is a tombstone, or the operation has happened already
   * @throws BarrierNameError when the gid is no UUIDv7, older than 90 days, or more than a day ahead
   */
  async pass(session: SqlSession, { gid, branch, op }: BarrierName): Promise<void> {
    const [row] = await session.run(barrierPass, gid, branch, op);
    if (row?.passed !== true) throw new BarrierRefusedError(`${gid}/${branch}/${op}`);
  }

  /**
   * Sets a tombstone unless the operation has passed, in a transaction of its own. Its answer is final, and on disk.
   * @param session outside any transaction
   * @param reason what the tombstone says; other than `op`
   * @param waitMs how long to wait for a transaction of the operation that is still open, in milliseconds
   * @returns whether the operation has passed the barrier, and committed
   * @throws TransactionConflictError when it is still open
   * @throws BarrierNameError as {@link pass}
   */
  async tombstone(
    session: SqlSession,
    { gid, branch, op }: BarrierName,
    reason: string,
    waitMs: number,
  ): Promise<{ readonly passed: boolean }> {
    const [row] = await session.run(barrierTombstone, gid, branch, op, reason, waitMs);
    return { passed: row?.reason === op };
  }
}

/** What PostgreSQL cannot keep, or would keep as something else. */
const NO_TEXT = /[\0\p{Cs}]/u;

function assertCall({ gid, branch, op, begunMs = 0, origin }: BarrierCall): void {
  if (typeof gid !== 'string')
    throw new BarrierNameError(`The gid of a barrier must be a text, got ${typeof gid}.`);
  if (typeof branch !== 'string' || branch === '' || branch.length > BRANCH_MAX || NO_TEXT.test(branch))
    throw new BarrierNameError(
      `The branch of ${gid} must be a text of 1 to ${BRANCH_MAX} characters without a null character or half of a surrogate pair.`,
    );
  if (!Object.hasOwn(ORIGINS, op))
    throw new BarrierNameError(
      `The operation ${JSON.stringify(op)} of ${gid}/${branch} is not known: it must be one of ${Object.keys(ORIGINS).join(', ')}.`,
    );
  for (const time of [begunMs, origin?.begunMs ?? 0])
    if (!Number.isSafeInteger(time) || time < 0)
      throw new BarrierNameError(
        `The beginning of ${op} of ${gid}/${branch} must be a whole number of milliseconds after its gid, got ${String(time)}.`,
      );
}
