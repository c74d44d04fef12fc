import {
  type Clock,
  ConfigurationError,
  describeError,
  EffectInProgressError,
  EffectRefusedError,
  EffectRequestDiffersError,
  EffectUndoneError,
  EffectUnknownError,
  FencedError,
  type Given,
  invariant,
  isWaybillError,
  type Logger,
  resolveOptions,
  type SqlSession,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { keyName, guardLogger } from '@waybill/kernel/internal';
import type { Sealer } from '@waybill/log';
import {
  assertAfterRefusal,
  assertKey,
  type EffectQueryResult,
  type EffectCall,
  type EffectToUndo,
  type ExternalEffect,
  fingerprintOf,
  undoCallKey,
  undoKey,
  type UndoOutcome,
} from './effect.js';
import { beginEffect, goOnWithEffect, endEffect, transactionIdentity } from '../statements.generated.js';
import { decodeResult, encodeResult, StoredResults } from '../message-id/stored-result.js';

const SPECS = {
  /** How long no other process attempts or queries the effect, in milliseconds. */
  leaseMs: wholeNumber({ default: 30_000, min: 100, max: 3_600_000 }),
  /** Time limit for an attempt or a query, in milliseconds; less than leaseMs. 0: two thirds of it. */
  timeoutMs: wholeNumber({ default: 0, min: 0, max: 3_600_000 }),
  /** How long `undo` waits for another process's lease, in milliseconds. */
  undoWaitMs: wholeNumber({ default: 60_000, min: 0, max: 3_600_000 }),
  /** Maximum size of a stored outcome, in bytes of JSON. */
  maxResultBytes: wholeNumber({ default: 65_536, min: 0, max: 16_777_216 }),
};

/** Options of {@link ExternalEffects}. */
export type ExternalEffectsOptions = Given<typeof SPECS>;

const POLL_MIN_MS = 20;
const POLL_MAX_MS = 1_000;
/** Interval at which storing an outcome is retried while the lease lasts, in milliseconds. */
const RECORD_RETRY_MS = 100;

/** The right to call the service, until the lease ends. */
interface Turn {
  readonly key: string;
  /** The idempotency key of its calls. */
  readonly callKey: string;
  readonly fence: string;
  /** The earliest monotonic time of its end. */
  readonly until: number;
}

/** Options for beginning an effect. */
interface Beginning {
  /** Whether it is to be undone. */
  readonly undoing?: boolean;
  readonly fingerprint?: string | null;
  /** Also if it was refused before. */
  readonly again?: boolean;
  /** The idempotency key, by how often it was refused. Default: that of the effect. */
  readonly callKey?: ((refusals: number) => string) | undefined;
}

/** Dependencies of {@link ExternalEffects}, apart from the session. */
export interface ExternalEffectsDependencies {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Encrypts outcomes. Default: one without a cipher. */
  readonly sealer?: Sealer;
}

/**
 * Effects outside any database, e.g. charging a card: the attempt is on disk before the call, the call
 * carries an idempotency key, and its outcome is stored. If a crash comes between the two, a query resolves it.
 */
export class ExternalEffects {
  readonly #options;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #results: StoredResults;
  #checked: Promise<void> | undefined;

  /**
   * @param session outside any transaction: an attempt must be committed before the call
   * @throws ConfigurationError
   */
  constructor(
    private readonly session: SqlSession,
    options: ExternalEffectsOptions = {},
    dependencies: ExternalEffectsDependencies = {},
  ) {
    const resolved = resolveOptions('external effects', SPECS, options, ({ leaseMs, timeoutMs }) =>
      timeoutMs >= leaseMs ? ['timeoutMs must be below leaseMs'] : [],
    );
    this.#options = { ...resolved, timeoutMs: resolved.timeoutMs || Math.floor((resolved.leaseMs * 2) / 3) };
    this.#clock = dependencies.clock ?? systemClock;
    this.#results = new StoredResults('effect-outcome', dependencies.sealer);
    this.#logger = guardLogger(dependencies.logger);
  }

  /**
   * Does an effect once, and returns its outcome, also to later callers.
   *
   * @throws EffectRefusedError if it was refused; to later callers too
   * @throws EffectRequestDiffersError if the key was used with a different `request`; nothing was attempted
   * @throws EffectUndoneError if it has been undone or given up; nothing was attempted, unless the message says so
   * @throws EffectInProgressError while another process is working on it, or did and has not reported the outcome
   * @throws EffectUnknownError if neither the attempt nor the query gave a clear result
   * @throws ConfigurationError for an unusable key, or a session that is in a transaction
   * @throws ResultTooLargeError, ResultNotSerializableError: it has still happened, and does not happen again
   */
  async run<T>(effect: ExternalEffect<T>): Promise<T> {
    assertKey(effect.key);
    return this.#run(effect, { isUndo: false });
  }

  /**
   * Undoes an effect: one that was not attempted never will be; for one that was, it is first found out, after the
   * lease, whether it has happened; if so, it is undone once, as a separate external effect (`key:undo`). An undoing
   * that was refused is attempted again by the next call: the last outcome counts.
   *
   * @throws EffectInProgressError if another process is still working on it after `undoWaitMs`
   * @throws EffectUnknownError, EffectRefusedError (the undoing was refused), ConfigurationError
   */
  async undo<T, U>({ key, query, undo, keyAfterRefusal }: EffectToUndo<T, U>): Promise<UndoOutcome<U>> {
    assertKey(key);
    assertAfterRefusal(keyAfterRefusal);
    const outcome = await this.#endForUndo(key, query as ExternalEffect<T>['query']);
    if (outcome === undefined) return { state: 'nothing' };
    const undone = await this.#run<U>(
      {
        key: undoKey(key),
        attempt: (call) => undo({ ...call, outcome: outcome.value }),
        query: query as ExternalEffect<U>['query'],
      },
      { isUndo: true, callKey: (refusals) => undoCallKey(key, refusals, keyAfterRefusal) },
    );
    return { state: 'undone', outcome: undone };
  }

  /** After a refusal an undoing is attempted again, under its then current key. */
  async #run<T>(
    { key, request, attempt, query }: ExternalEffect<T>,
    { isUndo, callKey }: { readonly isUndo: boolean; readonly callKey?: (refusals: number) => string },
  ): Promise<T> {
    const fingerprint = fingerprintOf(key, request);
    await this.#assertNoTransaction();
    const begun = await this.#begin(key, { fingerprint, again: isUndo, callKey });
    if (begun.state === 'in-progress')
      throw new EffectInProgressError(`Effect ${keyName(key)}`, begun.retryAfterMs);
    if (begun.state === 'known') return this.#read<T>(key, begun.known, begun.outcome);
    let { turn } = begun;
    if (begun.state === 'ask') {
      const answer = await this.#ask(turn, query);
      if (answer.state === 'done') return this.#keepDone(turn, answer.outcome);
      turn = await this.#goOn(turn);
    }
    return this.#attempt(turn, attempt);
  }

  async #attempt<T>(turn: Turn, attempt: ExternalEffect<T>['attempt']): Promise<T> {
    let outcome: T;
    try {
      outcome = await this.#call(turn, attempt, (late) => void this.#keepLate(turn, late));
    } catch (error) {
      if (!isWaybillError(error) || error.code !== 'EFFECT_REFUSED')
        throw new EffectUnknownError(turn.key, `its attempt failed (${describeError(error)})`, {
          cause: error,
        });
      const { reason } = error as EffectRefusedError;
      const counts = await this.#end(turn, 'refused', reason);
      if (counts.state === 'fenced') throw fenced(turn);
      return this.#read<T>(turn.key, counts.state, counts.outcome);
    }
    return this.#keepDone(turn, outcome);
  }

  /** Stores the outcome. The effect may have been given up in the meantime; then it must be undone. */
  async #keepDone<T>(turn: Turn, outcome: T): Promise<T> {
    const { key } = turn;
    const counts = await this.#end(turn, 'done', encodeResult(outcome, this.#options.maxResultBytes));
    if (counts.state === 'done') return this.#read<T>(key, 'done', counts.outcome);
    this.#logger.error(`effect ${keyName(key)} was done although it is ${counts.state}: it must be undone`);
    throw new EffectUndoneError(
      key,
      `it was given up (${counts.state}) while a call was in flight, and that call succeeded after all; call undo again`,
    );
  }

  /** An attempt that was given up has succeeded: the next caller that queries or undoes it must know. */
  async #keepLate(turn: Turn, outcome: unknown): Promise<void> {
    try {
      await this.#keepDone(turn, outcome);
    } catch (error) {
      this.#logger.warn(`effect ${keyName(turn.key)} was done late: ${describeError(error)}`);
    }
  }

  /** The outcome to undo; undefined if nothing was done, and nothing will be. */
  async #endForUndo<T>(
    key: string,
    query: ExternalEffect<T>['query'],
  ): Promise<{ readonly value: T } | undefined> {
    await this.#assertNoTransaction();
    const until = this.#clock.monotonic() + this.#options.undoWaitMs;
    for (let wait = POLL_MIN_MS; ; wait = Math.min(wait * 2, POLL_MAX_MS)) {
      const begun = await this.#begin(key, { undoing: true });
      if (begun.state === 'known') {
        return begun.known === 'done'
          ? { value: decodeResult<T>(begun.outcome, `effect ${keyName(key)}`, this.#options.maxResultBytes) }
          : undefined;
      }
      if (begun.state === 'in-progress') {
        const left = until - this.#clock.monotonic();
        if (left <= 0) throw new EffectInProgressError(`Effect ${keyName(key)}`, begun.retryAfterMs);
        await this.#clock.sleep(Math.min(wait, left, Math.max(1, begun.retryAfterMs)));
        continue;
      }
      const answer = await this.#ask(begun.turn, query);
      // The result counts once it is stored: the next read returns it.
      if (answer.state === 'done')
        await this.#end(begun.turn, 'done', encodeResult(answer.outcome, this.#options.maxResultBytes));
      else if ((await this.#end(begun.turn, 'tombstone', null)).state === 'fenced') throw fenced(begun.turn);
    }
  }

  /** Queries whether it has happened; if that is not clear, others may query immediately. */
  async #ask<T>(
    turn: Turn,
    query: ExternalEffect<T>['query'],
  ): Promise<Exclude<EffectQueryResult<T>, { readonly state: 'unknown' }>> {
    let why = 'the query about it returned "unknown"';
    let cause: unknown;
    try {
      const answer = await this.#call(turn, query);
      if (answer.state === 'done' || answer.state === 'not-done') return answer;
    } catch (error) {
      why = `the query about it failed (${describeError(error)})`;
      cause = error;
    }
    await this.session.run(goOnWithEffect, turn.key, turn.fence, 0);
    throw new EffectUnknownError(turn.key, why, { cause });
  }

  /** Calls the service that does the effect, within the lease. */
  async #call<R>(
    { callKey, until }: Turn,
    call: (call: EffectCall) => Promise<R>,
    late: (result: R) => void = () => {},
  ): Promise<R> {
    const { timeoutMs: longest, leaseMs } = this.#options;
    // A process that was suspended since its turn began has less time left, or none.
    const margin = (leaseMs - longest) / 2;
    const timeoutMs = Math.floor(Math.min(longest, until - margin - this.#clock.monotonic()));
    if (timeoutMs <= 0) throw new Error('the lease had ended before the call');
    const abort = new AbortController();
    const answered = new AbortController();
    const limit = this.#clock.sleep(timeoutMs, answered.signal).then((): never => {
      const late = new Error(`no response within ${timeoutMs} ms`);
      abort.abort(late);
      throw late;
    });
    limit.catch(() => {});
    const answer = call({ idempotencyKey: callKey, signal: abort.signal });
    // It may end long after the wait is over.
    answer.then(
      (result) => {
        if (abort.signal.aborted) late(result);
      },
      () => {},
    );
    return Promise.race([answer, limit]).finally(() => answered.abort());
  }

  async #begin(
    key: string,
    { undoing = false, fingerprint = null, again = false, callKey = () => key }: Beginning,
  ): Promise<
    | { readonly state: 'attempt' | 'ask'; readonly turn: Turn }
    | { readonly state: 'in-progress'; readonly retryAfterMs: number }
    | { readonly state: 'known'; readonly known: string; readonly outcome: string | null }
  > {
    const askedAt = this.#clock.monotonic();
    const given = [key, this.#options.leaseMs, undoing, fingerprint, again] as const;
    const [row] = await this.session.run(beginEffect, ...given);
    invariant(row !== undefined, `beginning effect ${keyName(key)} returned no row`);
    const { state, fence, retryMs, outcome, refusals } = row;
    if (state === 'differs') throw new EffectRequestDiffersError(key);
    if (state === 'in-progress') return { state, retryAfterMs: retryMs ?? 0 };
    if (state !== 'attempt' && state !== 'ask')
      return {
        state: 'known',
        known: state,
        outcome: await this.#results.open(this.session, outcome, [key]),
      };
    invariant(fence !== null, `effect ${keyName(key)} has no fence`);
    const until = askedAt + this.#options.leaseMs;
    return { state, turn: { key, callKey: callKey(refusals), fence, until } };
  }

  /** Takes another turn, to attempt the effect after a query. */
  async #goOn(turn: Turn): Promise<Turn> {
    const askedAt = this.#clock.monotonic();
    const [row] = await this.session.run(goOnWithEffect, turn.key, turn.fence, this.#options.leaseMs);
    if (row === undefined || row.fence === null) throw fenced(turn);
    return { ...turn, fence: row.fence, until: askedAt + this.#options.leaseMs };
  }

  /** Stores the outcome, retrying until the lease ends. */
  async #end(
    turn: Turn,
    state: 'done' | 'refused' | 'tombstone',
    outcome: string | null,
  ): Promise<{ readonly state: string; readonly outcome: string | null }> {
    const sealed = this.#results.seal(outcome, [turn.key]);
    for (;;) {
      try {
        const [row] = await this.session.run(endEffect, turn.key, turn.fence, state, sealed);
        invariant(row !== undefined, `settling effect ${turn.key} returned no row`);
        return { ...row, outcome: await this.#results.open(this.session, row.outcome, [turn.key]) };
      } catch (error) {
        const late = this.#clock.monotonic() + RECORD_RETRY_MS >= turn.until;
        if (!isWaybillError(error) || !error.retryable || late) throw error;
        await this.#clock.sleep(RECORD_RETRY_MS);
      }
    }
  }

  #read<T>(key: string, known: string, outcome: string | null): T {
    if (known === 'done')
      return decodeResult<T>(outcome, `effect ${keyName(key)}`, this.#options.maxResultBytes);
    if (known === 'refused') throw new EffectRefusedError(outcome ?? 'no reason was given');
    throw new EffectUndoneError(
      key,
      'it was undone or given up before it was attempted, or was found not to have happened',
    );
  }

  /** Two statements of one transaction have one id: the attempt would not be committed before the call. */
  #assertNoTransaction(): Promise<void> {
    this.#checked ??= this.#lookForTransaction();
    this.#checked.catch(() => (this.#checked = undefined));
    return this.#checked;
  }

  async #lookForTransaction(): Promise<void> {
    const [first] = await this.session.run(transactionIdentity);
    const [second] = await this.session.run(transactionIdentity);
    if (first?.identity === second?.identity)
      throw new ConfigurationError('External effects need a session outside any transaction', [
        'its statements are in one transaction: pass the session of a pool',
      ]);
  }
}

function fenced(turn: Turn): FencedError {
  return new FencedError(`The lease on effect ${turn.key} was lost (fence ${turn.fence})`, {
    remedy: 'Another process has begun since; repeating the call returns the outcome that it finds.',
  });
}
