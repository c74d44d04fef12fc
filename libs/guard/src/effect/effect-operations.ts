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
 * How an effect stands. `in-progress`: a process is at it. `unknown`: it was attempted, and nobody has said how it ended.
 * `given-up`: it has not happened, and must not.
 */
export type EffectState = (typeof STATES)[number];

const OPEN: readonly EffectState[] = ['in-progress', 'unknown'];

/** Which effects to list. */
export interface EffectFilter {
  /** Default: the open ones, `in-progress` and `unknown`. */
  readonly states?: readonly EffectState[];
  /** Only those first attempted, or decided, at least so many milliseconds ago. */
  readonly olderThanMs?: number;
  /** Only those behind this key. */
  readonly after?: string;
  /** Default 100, up to 100,000. */
  readonly limit?: number;
}

/** An external effect. The undoing of effect `k` is an effect of its own, `k:undo`. */
export interface EffectSummary {
  readonly key: string;
  readonly state: EffectState;
  readonly firstAt: Date;
  /** Its last attempt, or question about it; null for one that was given up before any. */
  readonly lastAt: Date | null;
  /** Until when nobody else attempts it or asks; null once it is decided. */
  readonly leaseUntil: Date | null;
  /** Attempts at it, and questions about it. */
  readonly attempts: number;
  readonly refusals: number;
  readonly decidedAt: Date | null;
}

/** An external effect, with what it came to. */
export interface EffectDetail extends EffectSummary {
  /** What it came to, or why it was refused; null where there is nothing. */
  readonly outcome: unknown;
  /** Why the outcome stays encrypted: code and message; null where it is readable. */
  readonly unreadable: string | null;
}

const LIST = {
  olderThanMs: wholeNumber({ default: 0, min: 0, max: 3_650 * 86_400_000 }),
  limit: wholeNumber({ default: 100, min: 1, max: 100_000 }),
};
const MAX_RESULT_BYTES = 16_777_216;

/** What an {@link EffectOperations} works with. */
export interface EffectOperationsDependencies {
  readonly database: PgDatabase;
  /** Reads and encrypts outcomes. Default: one without a cipher. */
  readonly sealer?: Sealer;
}

/** What operators do about external effects, in the database where they are. */
export class EffectOperations {
  readonly #results: StoredResults;

  constructor(private readonly dependencies: EffectOperationsDependencies) {
    this.#results = new StoredResults('effect-outcome', dependencies.sealer);
  }

  /** Lists effects by their keys, without what they came to. @throws ConfigurationError for a filter that is not usable */
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
   * Says of an effect that is not known to be done what an operator has found out. `done`: it has happened, and came to
   * `outcome`; later callers get that, and `undo` takes it back. `not-done`: it has not, and no call that is under way can still
   * do it; the next `run` attempts it again, and `undo` keeps it from happening. A process that is at it finds the decision when
   * it says how it ended. Who decided is kept, with the login.
   *
   * @returns what it was before
   * @throws NotFoundError; EffectDecidedError when it is done, or given up and is to be so; ConfigurationError
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

  /** The outcome as it is kept. @throws ConfigurationError */
  #decided(decision: unknown, outcome: unknown): string | null {
    const problem =
      decision !== 'done' && decision !== 'not-done'
        ? `the decision must be done or not-done, got ${show(decision)}`
        : decision === 'not-done' && outcome !== undefined
          ? 'what was not done came to nothing: leave the outcome away'
          : undefined;
    if (problem !== undefined) throw new ConfigurationError('The effect was left as it was', [problem]);
    const kept = encodeResult(outcome, MAX_RESULT_BYTES);
    decodeResult(kept, 'the effect', MAX_RESULT_BYTES);
    return kept;
  }
}

function summaryOf(row: Omit<EffectSummary, 'state'> & { readonly state: string }): EffectSummary {
  const { key, firstAt, lastAt, leaseUntil, attempts, refusals, decidedAt } = row;
  return { key, state: row.state as EffectState, firstAt, lastAt, leaseUntil, attempts, refusals, decidedAt };
}
