import {
  ConfigurationError,
  isId,
  NotFoundError,
  type Operator,
  type PgDatabase,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';
import { Sealer } from '@waybill/log';
import { readableMessage } from '@waybill/log/internal';
import { type OperatorAction, operatorAction, operatorActions } from '@waybill/dead-letter';
import { describeContent, restoreContent } from './half-content.js';
import { type HalfMessageState, STATE } from './half-message.js';
import type { HalfStore } from './half-store.js';
import { checkHalfAgain, halfStats, halfTrouble, listHalves, showHalf } from './statements.generated.js';

/** A half message in a listing. */
export interface HalfMessageSummary {
  readonly id: string;
  readonly group: string;
  readonly state: HalfMessageState;
  readonly preparedAt: Date;
  /** When it is checked next; null once it is decided. */
  readonly nextCheckAt: Date | null;
  readonly deadlineAt: Date | null;
  /** Number of UNKNOWN results so far, up to `checkMax`. */
  readonly checks: number;
  readonly checkMax: number | null;
  /** The process that is checking it. */
  readonly checkedBy: string | null;
  readonly lastResult: string | null;
  readonly decidedAt: Date | null;
  /** `producer`, `check`, `tombstone`, `xact-status`, or an operator's name. */
  readonly decidedBy: string | null;
  readonly reason: string | null;
  readonly messages: readonly { readonly id: string; readonly topic: string; readonly key: string | null }[];
}

/** A half message with all its details. */
export interface HalfMessageDetail extends HalfMessageSummary {
  /** In the order of `messages`; null once it is decided. */
  readonly payloads: readonly (Buffer | null)[] | null;
  readonly headers: readonly Readonly<Record<string, string>>[] | null;
  /** Why a message cannot be decrypted, in the order of `messages`: code and message; null for a readable one. */
  readonly unreadable: readonly (string | null)[] | null;
  /** The local database that check-back asks; null: a check of the user's. */
  readonly localDatabase: string | null;
}

/** Selects half messages. */
export interface HalfMessageFilter {
  /** Default: the open ones, which are prepared, checking or undecided. */
  readonly states?: readonly HalfMessageState[];
  readonly group?: string;
}

/** Statistics of half messages. Counts go up to 100,000. */
export interface HalfMessageStats {
  readonly open: number;
  readonly undecided: number;
  /** Null if none is open. */
  readonly oldestOpenAgeMs: number | null;
}

/** Problems of half messages, without any content. */
export interface HalfMessageTrouble {
  /** Time since the oldest undecided one was prepared; null if there is none. */
  readonly oldestUndecidedAgeMs: number | null;
  /** Number of those whose checks fail: they throw, time out or do not exist. */
  readonly failing: number;
  /** How long the checks of the oldest of these have failed. */
  readonly oldestFailingMs: number | null;
  /** The code or class of the most recent failure; `NO_CHECK` if no check exists. */
  readonly lastFailure: string | null;
}

const LIST = { limit: wholeNumber({ default: 100, min: 1, max: 100_000 }) };
const STATE_NAMES: readonly HalfMessageState[] = [
  'prepared',
  'checking',
  'undecided',
  'committed',
  'rolled-back',
];
const OPEN: readonly HalfMessageState[] = ['prepared', 'checking', 'undecided'];
const NUMBERS: Readonly<Record<HalfMessageState, number>> = {
  prepared: STATE.prepared,
  checking: STATE.prepared,
  undecided: STATE.undecided,
  committed: STATE.committed,
  'rolled-back': STATE.rolledBack,
};

/** Shows half messages, and decides on those that check-back could not. Every decision is stored with its operator. */
export class HalfMessageOperations {
  constructor(
    private readonly database: PgDatabase,
    private readonly store: HalfStore,
    private readonly sealer: Sealer = Sealer.none,
  ) {}

  /**
   * Lists half messages by id, which is the order of preparation.
   * @param page at most `limit` (default 100), after the id `after`
   * @throws ConfigurationError
   */
  async list(
    filter: HalfMessageFilter = {},
    page: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<HalfMessageSummary[]> {
    const { states = OPEN, group = null } = filter;
    const problems = states
      .filter((state) => !STATE_NAMES.includes(state))
      .map((state) => `states must be an array of ${STATE_NAMES.join(', ')}, got ${show(state)}`);
    const { limit } = resolveOptions('list of half messages', LIST, { limit: page.limit });
    if (page.after !== undefined && !isId(page.after))
      problems.push(`after must be the id of a half message`);
    if (problems.length > 0) throw new ConfigurationError('Half messages cannot be listed', problems);
    const numbers = [...new Set(states.map((state) => NUMBERS[state]))];
    const rows = await this.database.session.run(listHalves, numbers, group, page.after ?? null, limit);
    return rows.map(summaryOf).filter(({ state }) => states.includes(state));
  }

  /** @throws NotFoundError */
  async show(id: string): Promise<HalfMessageDetail> {
    const [row] = isId(id) ? await this.database.session.run(showHalf, id) : [];
    if (row === undefined) throw new NotFoundError(`half message ${id}`);
    const { payloads, messages, local } = row;
    const localDatabase = local === null ? null : (JSON.parse(local) as { name: string }).name;
    const summary = { ...summaryOf(row), localDatabase };
    if (payloads === null) return { ...summary, payloads, headers: null, unreadable: null };
    const { sealer, database } = this;
    const read = await Promise.all(
      restoreContent({ messages, payloads }).map((message) =>
        readableMessage(sealer, database.session, message, `message ${message.id} of half message ${id}`),
      ),
    );
    return {
      ...summary,
      payloads: read.map(({ payload }) => payload),
      headers: read.map((message) => message.headers ?? {}),
      unreadable: read.map(({ unreadable }) => unreadable),
    };
  }

  /**
   * Delivers the messages of an undecided half.
   * @param options `force`: even while check-back is still trying
   * @returns whether this call committed it, or it was already committed
   * @throws NotFoundError, HalfMessageDecidedError, HalfMessageOpenError
   */
  async commit(id: string, operator: Operator, options: { readonly force?: boolean } = {}) {
    return this.#decide('commit', id, operator, options);
  }

  /** Discards the messages of an undecided half. As {@link commit}. */
  async rollback(id: string, operator: Operator, options: { readonly force?: boolean } = {}) {
    return this.#decide('rollback', id, operator, options);
  }

  /** Makes an open half due for a check at once, with its count at zero and no deadline. @throws NotFoundError */
  async check(id: string, operator: Operator): Promise<void> {
    const audit = operatorAction(operator, 'check', { kind: 'half', id });
    if (!isId(id)) throw new NotFoundError(`half message ${id}`);
    await this.database.transaction(async (connection) => {
      const rows = await connection.run(checkHalfAgain, id);
      if (rows.length === 0) throw new NotFoundError(`open half message ${id}`);
      await connection.runBatch([audit]);
    });
  }

  /** What operators did with a half message, newest first. */
  async actions(id: string): Promise<OperatorAction[]> {
    return operatorActions(this.database.session, { kind: 'half', id });
  }

  async stats(): Promise<HalfMessageStats> {
    const [row] = await this.database.session.run(halfStats);
    return row ?? { open: 0, undecided: 0, oldestOpenAgeMs: null };
  }

  /** Problems of half messages: which checks fail, and why. */
  async trouble(): Promise<HalfMessageTrouble> {
    const [row] = await this.database.session.run(halfTrouble);
    return row ?? { oldestUndecidedAgeMs: null, failing: 0, oldestFailingMs: null, lastFailure: null };
  }

  async #decide(
    verdict: 'commit' | 'rollback',
    id: string,
    operator: Operator,
    { force = false }: { readonly force?: boolean },
  ): Promise<'done' | 'already'> {
    const audit = operatorAction(operator, verdict, { kind: 'half', id }, force ? { force } : {});
    if (!isId(id)) throw new NotFoundError(`half message ${id}`);
    const from = force ? [STATE.prepared, STATE.undecided] : [STATE.undecided];
    const { by, reason } = operator;
    const outcome = await this.store.decide(id, { verdict, by, reason, from, audit });
    return outcome === 'done' ? 'done' : 'already';
  }
}

function summaryOf(row: {
  readonly state: number;
  readonly messages: string;
  readonly checkedBy: string | null;
}): HalfMessageSummary {
  const { id, group, preparedAt, nextCheckAt, deadlineAt, checks, checkMax, lastResult } =
    row as unknown as HalfMessageSummary;
  const { decidedAt, decidedBy, reason } = row as unknown as HalfMessageSummary;
  const { checkedBy } = row;
  return {
    id,
    group,
    state: stateOf(row.state, checkedBy),
    preparedAt,
    nextCheckAt,
    deadlineAt,
    checks,
    checkMax,
    checkedBy,
    lastResult,
    decidedAt,
    decidedBy,
    reason,
    messages: describeContent(row.messages),
  };
}

function stateOf(state: number, checkedBy: string | null): HalfMessageState {
  if (state === STATE.prepared) return checkedBy === null ? 'prepared' : 'checking';
  if (state === STATE.undecided) return 'undecided';
  return state === STATE.committed ? 'committed' : 'rolled-back';
}
