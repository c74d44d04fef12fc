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
  /**
   * Maximum age of an operation's gid, in milliseconds; older ones are refused. The rows are kept for 90 days in any
   * case.
   */
  retentionMs: wholeNumber({ default: 90 * DAY_MS, min: 60_000, max: 90 * DAY_MS }),
  /** How long to wait for another transaction with the same operation, in milliseconds. */
  waitMs: wholeNumber({ default: 5_000, min: 1, max: 600_000 }),
  /** Maximum size of a stored result, in bytes of JSON. */
  maxResultBytes: wholeNumber({ default: 65_536, min: 0, max: 16_777_216 }),
};

/** Options of a {@link Barrier}. */
export type BarrierOptions = Given<typeof SPECS>;

/** The name of an operation that happens at most once: a half message's local transaction, a step of a saga. */
export interface BarrierName {
  /** The id of the whole: a UUID of version 7, e.g. from newId; the half message's id. */
  readonly gid: string;
  /** The name of a part of it, up to 255 characters. */
  readonly branch: string;
  readonly op: string;
}

/** The operations of a distributed transaction, and which one each undoes. */
const ORIGINS = {
  action: null,
  compensate: 'action',
  try: null,
  confirm: null,
  cancel: 'try',
  msg: null,
} as const;

/** An operation of a distributed transaction. `compensate` undoes `action`, and `cancel` undoes `try`. */
export type BarrierOp = keyof typeof ORIGINS;

/** The name of an operation of a distributed transaction. */
export interface BarrierCall extends BarrierName {
  readonly op: BarrierOp;
  /**
   * When the operation was begun, in milliseconds after the time in the gid: its age is measured from then. Default 0.
   */
  readonly begunMs?: number;
  /** The operation that this one undoes. Default: begun at the time in the gid, and not known to be done. */
  readonly origin?: {
    readonly begunMs: number;
    /** Whether the caller knows from a reply that it was done; used if the barrier has forgotten it. */
    readonly isDone: boolean;
  };
}

/** What an operation that continues after its transaction has done so far: nothing, or something to undo. */
export type OngoingState = 'ongoing' | 'ongoing-effect';

/** The state of an operation to be ended: it was ongoing until then, or why it can no longer be ended. */
export type EndedState = 'ongoing' | 'done' | 'rejected' | 'taken-back' | 'unknown';

/** The outcome of an operation. */
export type BarrierOutcome<T> =
  /** The work was done by this call. */
  | { readonly outcome: 'done'; readonly result: T }
  /** It has been done before; `result` is what it came to, undefined if that was undefined. */
  | { readonly outcome: 'duplicate'; readonly result: T | undefined }
  /** There is nothing to take back, and will never be. */
  | { readonly outcome: 'empty' }
  /** It came after the operation that undoes it, or was rejected before, and must no longer happen. */
  | { readonly outcome: 'refused' };

/** Longest branch, in characters: it is part of an index. */
const BRANCH_MAX = 255;

/**
 * The barrier of dtm (dtm-labs, `client/dtmcli/barrier.go`): an operation's transaction first writes a row under the
 * operation's name, and a caller that cancels the operation writes a tombstone under the same name. Only one of the two
 * can exist, whatever their order. The table is in the database of the business rows, in Waybill's schema.
 *
 * Any isolation level works: in READ COMMITTED the later of two waits for the first and sees its row; with a fixed
 * snapshot it can fail with TransactionConflictError instead, and must be run again.
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
   * Does an operation of a distributed transaction once, whatever arrives twice, late, or in the wrong order. It must
   * be the first write of the transaction of `session`, and `work` writes in that transaction. When `work` throws, the
   * transaction can no longer be committed.
   *
   * @returns its outcome; the result is stored for duplicates, as JSON, unless it is undefined
   * @throws the error of `work`
   * @throws BarrierNameError if the gid is not a UUIDv7, or the operation is too old or more than a day ahead
   * @throws BarrierForgottenError if the operation that it undoes is too old, and is not known to be done
   * @throws TransactionConflictError if another transaction still holds it after `waitMs`, or has held it
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
      // A caller that swallows the error must not commit the barrier's row: the work would then never be done.
      await session.run(barrierAbandon).catch(() => {});
      throw error;
    }
  }

  /**
   * Records that an operation was rejected for a business reason: a later copy is refused, and the operation that
   * undoes it is `empty`. To be called in the same transaction, after the writes of {@link call} were rolled back to a
   * savepoint.
   * @throws BarrierNameError like {@link call}
   */
  async reject(session: SqlSession, name: BarrierCall): Promise<void> {
    assertCall(name);
    const { gid, branch, op, begunMs = 0 } = name;
    await session.run(barrierReject, gid, branch, op, this.#options.retentionMs, begunMs);
  }

  /**
   * Records that an operation which {@link call} let pass in this transaction ends later, with {@link end}. An
   * operation that undoes it before that is `empty` and prevents the end; if it has already had an effect, that is
   * undone.
   */
  async ongoing(session: SqlSession, name: BarrierCall, state: OngoingState): Promise<void> {
    const { gid, branch, op, begunMs = 0 } = name;
    await session.run(barrierOngoing, gid, branch, op, begunMs, state);
  }

  /**
   * Ends an ongoing operation, in the transaction of its result; if it is no longer ongoing, that must be rolled back.
   * @param as `ongoing` ends nothing and only checks
   * @returns its state before; it has been ended if that was `ongoing`
   * @throws TransactionConflictError if another transaction still holds it after `waitMs`
   * @throws BarrierNameError like {@link call}, except for its age
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

  /** Withdraws a rejection, in the current transaction: the operation may happen after all. */
  async pardon(session: SqlSession, name: BarrierCall): Promise<void> {
    assertCall(name);
    const { gid, branch, op, begunMs = 0 } = name;
    await session.run(barrierPardon, gid, branch, op, begunMs);
  }

  /**
   * Passes the barrier. It must be the first write of the transaction of `session`.
   * @throws BarrierRefusedError if there is a tombstone, or the operation has already happened
   * @throws BarrierNameError if the gid is not a UUIDv7, older than 90 days, or more than a day ahead
   */
  async pass(session: SqlSession, { gid, branch, op }: BarrierName): Promise<void> {
    const [row] = await session.run(barrierPass, gid, branch, op);
    if (row?.passed !== true) throw new BarrierRefusedError(`${gid}/${branch}/${op}`);
  }

  /**
   * Sets a tombstone unless the operation has passed, in a separate transaction. The result is final, and on disk.
   * @param session outside any transaction
   * @param reason stored in the tombstone; other than `op`
   * @param waitMs how long to wait for a transaction of the operation that is still open, in milliseconds
   * @returns whether the operation has passed the barrier, and committed
   * @throws TransactionConflictError if it is still open
   * @throws BarrierNameError like {@link pass}
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

/** Texts that PostgreSQL cannot store, or would store differently. */
const NO_TEXT = /[\0\p{Cs}]/u;

function assertCall({ gid, branch, op, begunMs = 0, origin }: BarrierCall): void {
  if (typeof gid !== 'string')
    throw new BarrierNameError(`The gid of a barrier must be a string, got ${typeof gid}.`);
  if (typeof branch !== 'string' || branch === '' || branch.length > BRANCH_MAX || NO_TEXT.test(branch))
    throw new BarrierNameError(
      `The branch of ${gid} must be a string of 1 to ${BRANCH_MAX} characters without a null character or half of a surrogate pair.`,
    );
  if (!Object.hasOwn(ORIGINS, op))
    throw new BarrierNameError(
      `The operation ${JSON.stringify(op)} of ${gid}/${branch} is unknown: it must be one of ${Object.keys(ORIGINS).join(', ')}.`,
    );
  for (const time of [begunMs, origin?.begunMs ?? 0])
    if (!Number.isSafeInteger(time) || time < 0)
      throw new BarrierNameError(
        `The start of ${op} of ${gid}/${branch} must be a whole number of milliseconds after its gid, got ${String(time)}.`,
      );
}
