import {
  ConfigurationError,
  EffectDecidedError,
  NotFoundError,
  type Operator,
  type PgDatabase,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { assertOperator, keyName, show } from '@waybill/kernel/internal';
import { type Sealer } from '@waybill/log';
import { whyUnreadable } from '@waybill/log/internal';
import { decideEffect, listEffects } from '../statements.generated.js';
import { decodeResult, encodeResult, StoredResults } from '../message-id/stored-result.js';

const STATES = ['in-progress', 'unknown', 'done', 'refused', 'given-up'] as const;

/**
 * The state of an effect. `in-progress`: a process is working on it. `unknown`: it was attempted, but its outcome was
 * not reported. `given-up`: it has not happened, and must not.
 */
export type EffectState = (typeof STATES)[number];

const OPEN: readonly EffectState[] = ['in-progress', 'unknown'];

/** Which effects to list. */
export interface EffectFilter {
  /** Default: the open ones, `in-progress` and `unknown`. */
  readonly states?: readonly EffectState[];
  /** Only those first attempted, or decided, at least this long ago, in milliseconds. */
  readonly olderThanMs?: number;
  /** Only those after this key. */
  readonly after?: string;
  /** Default 100, up to 100,000. */
  readonly limit?: number;
}

/** An external effect. Undoing effect `k` is a separate effect, `k:undo`. */
export interface EffectSummary {
  readonly key: string;
  readonly state: EffectState;
  readonly firstAt: Date;
  /** Its last attempt, or query about it; null if it was given up before any. */
  readonly lastAt: Date | null;
  /** Until when no other process attempts or queries it; null once it is decided. */
  readonly leaseUntil: Date | null;
  /** The number of attempts and queries. */
  readonly attempts: number;
  readonly refusals: number;
  readonly decidedAt: Date | null;
}

/** An external effect, with its outcome. */
export interface EffectDetail extends EffectSummary {
  /** Its outcome, or why it was refused; null if there is none. */
  readonly outcome: unknown;
  /** Why the outcome cannot be decrypted: code and message; null if it is readable. */
  readonly unreadable: string | null;
}

const LIST = {
  olderThanMs: wholeNumber({ default: 0, min: 0, max: 3_650 * 86_400_000 }),
  limit: wholeNumber({ default: 100, min: 1, max: 100_000 }),
};
const MAX_RESULT_BYTES = 16_777_216;

/** Dependencies of an {@link EffectOperations}. */
export interface EffectOperationsDependencies {
  readonly database: PgDatabase;
  /** Reads and encrypts outcomes. Default: one without a cipher. */
  readonly sealer?: Sealer;
}

/** Operators' actions on external effects, in the effects' database. */
export class EffectOperations {
  readonly #results: StoredResults;

  constructor(private readonly dependencies: EffectOperationsDependencies) {
    this.#results = new StoredResults('effect-outcome', dependencies.sealer);
  }

  /** Lists effects by their keys, without outcomes. @throws ConfigurationError for an unusable filter */
  async list({ states = OPEN, after, ...given }: EffectFilter = {}): Promise<EffectSummary[]> {
    const wrong = states.filter((state) => !STATES.includes(state));
    if (wrong.length > 0)
      throw new ConfigurationError('The effects were not listed', [
        `there is no state ${wrong.map((state) => show(state)).join(', ')}: it must be ${STATES.join(', ')}`,
      ]);
    const { olderThanMs, limit } = resolveOptions('list of effects', LIST, given);
    const { session } = this.dependencies.database;
    const rows = await session.run(listEffects, null, [...states], olderThanMs, after ?? null, limit);
    return rows.map((row) => summaryOf(row));
  }

  /** @throws NotFoundError */
  async show(key: string): Promise<EffectDetail> {
    const { session } = this.dependencies.database;
    const [row] = await session.run(listEffects, key, null, 0, null, 1);
    if (row === undefined) throw new NotFoundError(`effect ${keyName(key)}`);
    const state = row.state as EffectState;
    try {
      const kept = await this.#results.open(session, row.outcome, [key]);
      const isJson = state === 'done' && kept !== null;
      const outcome = isJson ? decodeResult(kept, `effect ${keyName(key)}`, MAX_RESULT_BYTES) : kept;
      return { ...summaryOf(row), outcome, unreadable: null };
    } catch (error) {
      return { ...summaryOf(row), outcome: null, unreadable: whyUnreadable(error) };
    }
  }

  /**
   * Decides an effect that is not known to be done, as an operator has found out. `done`: it has happened, with
   * `outcome`; later callers get that, and `undo` undoes it. `not-done`: it has not, and no call in flight can still
   * do it; the next `run` attempts it again, and `undo` prevents it. A process that is working on it finds the decision
   * when it reports the outcome. The decision is recorded with the operator and the login.
   *
   * @returns its state before
   * @throws NotFoundError; EffectDecidedError if it is done, or already given up when `not-done` is decided;
   *   ConfigurationError
   */
  async decide(
    key: string,
    decision: 'done' | 'not-done',
    operator: Operator,
    outcome?: unknown,
  ): Promise<EffectState> {
    const kept = this.#decided(decision, outcome);
    assertOperator(operator, 'effect');
    const { by, reason = null } = operator;
    const sealed = this.#results.seal(kept, [key]);
    const { session } = this.dependencies.database;
    const [row] = await session.run(decideEffect, key, decision, sealed, by, reason);
    const before = row?.state ?? null;
    if (before === null) throw new NotFoundError(`effect ${keyName(key)}`);
    if (before === 'done' || (before === 'given-up' && decision === 'not-done'))
      throw new EffectDecidedError(key, before);
    return before as EffectState;
  }

  /** The outcome as it is stored. @throws ConfigurationError */
  #decided(decision: unknown, outcome: unknown): string | null {
    const problem =
      decision !== 'done' && decision !== 'not-done'
        ? `the decision must be done or not-done, got ${show(decision)}`
        : decision === 'not-done' && outcome !== undefined
          ? 'an effect that was not done has no outcome: omit it'
          : undefined;
    if (problem !== undefined) throw new ConfigurationError('The effect was not changed', [problem]);
    const kept = encodeResult(outcome, MAX_RESULT_BYTES);
    decodeResult(kept, 'the effect', MAX_RESULT_BYTES);
    return kept;
  }
}

function summaryOf(row: Omit<EffectSummary, 'state'> & { readonly state: string }): EffectSummary {
  const { key, firstAt, lastAt, leaseUntil, attempts, refusals, decidedAt } = row;
  return { key, state: row.state as EffectState, firstAt, lastAt, leaseUntil, attempts, refusals, decidedAt };
}
