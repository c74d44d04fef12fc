import {
  BackgroundService,
  type Clock,
  ConfigurationError,
  describeError,
  type Given,
  IdlePace,
  isWaybillError,
  type Logger,
  type PassResult,
  type PgDatabase,
  resolveOptions,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { show, guardLogger } from '@waybill/kernel/internal';
import { Sealer } from '@waybill/log';
import type { Codec } from '@waybill/outbox';
import { contentToCheck } from './half-content.js';
import type { CheckBack, HalfToCheck, MessageToCheck } from './half-message.js';
import { STATE } from './half-message.js';
import type { HalfStore } from './half-store.js';
import { LocalDatabases, type LocalMark } from './local-database.js';
import { claimHalves, deferHalf } from './statements.generated.js';

const SPECS = {
  /** Maximum number of concurrent checks in this process. */
  concurrency: wholeNumber({ default: 16, min: 1, max: 1_000 }),
  /** Time limit of a check, in milliseconds: one without a result by then does not count and is repeated. */
  checkTimeoutMs: wholeNumber({ default: 10_000, min: 10, max: 600_000 }),
  /** Longest wait between two checks that returned UNKNOWN, in milliseconds, unless checkIntervalMs is longer. */
  checkIntervalMaxMs: wholeNumber({ default: 600_000, min: 1, max: 86_400_000 }),
  /** First wait after a failed check, in milliseconds; it doubles up to retryMaxMs. */
  retryMs: wholeNumber({ default: 1_000, min: 1, max: 600_000 }),
  /** Longest wait after a failed check, in milliseconds. */
  retryMaxMs: wholeNumber({ default: 60_000, min: 1, max: 86_400_000 }),
  /**
   * A half message whose checks have failed for this long, in milliseconds, and at least ten times, becomes undecided.
   * 0: never for this reason.
   */
  undecidedAfterMs: wholeNumber({ default: 86_400_000, min: 0, max: 3_650 * 86_400_000 }),
  /** Poll interval for due half messages, in milliseconds. */
  pollMs: wholeNumber({ default: 1_000, min: 1, max: 60_000 }),
  /** The same when no half message was prepared here or due for a minute, in milliseconds. Not above `pollMs`: always `pollMs`. */
  pollIdleMs: wholeNumber({ default: 5_000, min: 1, max: 60_000 }),
};

/** Options of a {@link HalfMessageChecker}. */
export type HalfMessageCheckerOptions = Given<typeof SPECS>;

/** What a {@link HalfMessageChecker} works with. */
export interface HalfMessageCheckerDependencies {
  /** The log's database, which stores the half messages. */
  readonly database: PgDatabase;
  readonly store: HalfStore;
  /** The producer group whose half messages it checks. */
  readonly group: string;
  /**
   * The user's checks, by topic; {@link ANY_TOPIC} for topics without their own. A half is checked by the check of the
   * first of its topics that has one.
   */
  readonly checks?: ReadonlyMap<string, CheckBack>;
  readonly databases?: LocalDatabases;
  readonly codecs?: Readonly<Record<string, Codec>> | undefined;
  /** Decrypts messages. Default: one without a cipher. */
  readonly sealer?: Sealer | undefined;
  /** Identifies this process in listings. */
  readonly instance?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** Represents all topics in the map of checks; no topic can have this name. */
export const ANY_TOPIC = '*';

/** Results of this process's checks since its creation. */
export interface CheckCounts {
  readonly commit: number;
  readonly rollback: number;
  readonly unknown: number;
  /** The local transaction had not ended. */
  readonly open: number;
  /** The check threw, timed out or does not exist. */
  readonly unanswered: number;
  /** Results that arrived after another process had claimed the half. */
  readonly fenced: number;
  /** Half messages that became undecided. */
  readonly undecided: number;
}

/** Result of one check. `counts`: it returned without a verdict. */
interface CheckResult {
  readonly verdict: 'commit' | 'rollback' | 'unknown' | 'open' | 'unanswered';
  readonly by: string;
  readonly why?: string | undefined;
  /** The code or class of a failure, without content of the error's message. */
  readonly failure?: string;
}

type ClaimedHalf = Awaited<ReturnType<typeof claimRows>>[number];

/** How much longer a claim lasts than its check may take, in milliseconds, so that the verdict can be written. */
const LEASE_MARGIN_MS = 5_000;
/** Only the sweep finds due times that are older than the last poll by more than this, in milliseconds. */
const LOW_MARGIN_MS = 60_000;
/**
 * The sweep polls without a lower bound, at most at this interval (in milliseconds) and for at most a twentieth of the
 * time.
 */
const SWEEP_MIN_MS = 15_000;
const SWEEP_PAUSES = 20;
const ANSWER_CHARS = 500;
/**
 * Minimum number of failed checks before a half message becomes undecided, however much time has passed: no process may
 * have polled.
 */
const FAILURES_MIN = 10;

function claimRows(
  database: PgDatabase,
  group: string,
  lowMs: number,
  most: number,
  leaseMs: number,
  by: string,
) {
  return database.session.run(claimHalves, group, lowMs, most, leaseMs, by);
}

/**
 * Checks half messages that were left open, in any process of their producer group, under a claim in the database with
 * a time limit: if a process crashes or hangs, another takes over, and a late result is refused.
 */
export class HalfMessageChecker {
  readonly service: BackgroundService;
  readonly #options;
  readonly #dependencies: HalfMessageCheckerDependencies;
  readonly #databases: LocalDatabases;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #running = new Set<Promise<void>>();
  /** Functions that each abort one running check. */
  readonly #cuts = new Set<(why: Error) => void>();
  readonly #counts = { commit: 0, rollback: 0, unknown: 0, open: 0, unanswered: 0, fenced: 0, undecided: 0 };
  readonly #pace: IdlePace;
  #unsubscribe: (() => void) | undefined;
  #lowMs = 0;
  #sweepAt = -Infinity;

  /** @throws ConfigurationError */
  constructor(dependencies: HalfMessageCheckerDependencies, options: HalfMessageCheckerOptions = {}) {
    this.#options = resolveOptions('check-back of half messages', SPECS, options, (resolved) =>
      resolved.retryMaxMs < resolved.retryMs ? ['retryMaxMs must not be below retryMs'] : [],
    );
    this.#dependencies = dependencies;
    this.#databases = dependencies.databases ?? new LocalDatabases();
    this.#clock = dependencies.clock ?? systemClock;
    this.#logger = guardLogger(dependencies.logger);
    if (dependencies.group === '')
      throw new ConfigurationError('The options of check-back are not usable', ['group must not be empty']);
    const { pollMs: busyMs, pollIdleMs: quietMs } = this.#options;
    this.#pace = new IdlePace({ busyMs, quietMs, isAnnounced: () => true, clock: this.#clock });
    this.service = new BackgroundService({
      name: 'the check-back of half messages',
      runOnce: (signal) => this.#look(signal),
      idleMinMs: Math.min(50, this.#options.pollMs),
      idleMaxMs: this.#pace,
      clock: this.#clock,
      logger: this.#logger,
    });
  }

  start(): void {
    this.#unsubscribe = this.#dependencies.store.stir.onRing(() => {
      if (this.#pace.worked()) this.service.bell.ring();
    });
    this.service.start();
  }

  /** Aborts running checks: other processes repeat those without a result. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    const stopped = this.service.stop();
    for (const cut of this.#cuts) cut(checkError('STOPPING', 'the process is stopping'));
    await stopped;
    await Promise.all(this.#running);
  }

  /** The results of this process's checks. */
  get counts(): CheckCounts {
    return { ...this.#counts };
  }

  /** Number of checks running in this process. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * One pass: claims due half messages, checks them, and waits for the verdicts. For tests and commands; the service
   * does not wait.
   */
  async runOnce(): Promise<PassResult> {
    const claimed = await this.#claim(new AbortController().signal);
    await Promise.all(this.#running);
    return claimed > 0 ? 'again' : 'idle';
  }

  async #look(signal: AbortSignal): Promise<PassResult> {
    // Claims only as many as can be checked at once: a claim that waits for its turn would lapse.
    if (this.#running.size >= this.#options.concurrency) await Promise.race(this.#running);
    return (await this.#claim(signal)) > 0 ? 'again' : 'idle';
  }

  async #claim(signal: AbortSignal): Promise<number> {
    const { concurrency, checkTimeoutMs } = this.#options;
    const free = concurrency - this.#running.size;
    if (free <= 0) return 0;
    const { database, group, instance = `process ${process.pid}` } = this.#dependencies;
    const startedAt = this.#clock.monotonic();
    const sweep = startedAt >= this.#sweepAt;
    const lease = checkTimeoutMs + LEASE_MARGIN_MS;
    const rows = await claimRows(database, group, sweep ? 0 : this.#lowMs, free, lease, instance);
    const tookMs = this.#clock.monotonic() - startedAt;
    if (sweep && rows.length < free)
      this.#sweepAt = startedAt + Math.max(SWEEP_MIN_MS, SWEEP_PAUSES * tookMs);
    if (rows.length > 0) this.#pace.worked();
    const nowMs = rows[0]?.nowMs;
    if (nowMs !== undefined && rows.length < free) this.#lowMs = Math.max(this.#lowMs, nowMs - LOW_MARGIN_MS);
    for (const row of rows) {
      const check = this.#check(row, signal).catch((error: unknown) =>
        // The claim lapses, and the check is repeated.
        this.#logger.warn(`could not write the verdict on half message ${row.id}: ${describeError(error)}`),
      );
      this.#running.add(check);
      void check.finally(() => this.#running.delete(check));
    }
    return rows.length;
  }

  async #check(row: ClaimedHalf, stopping: AbortSignal): Promise<void> {
    const result = await this.#ask(row, stopping);
    if (result.verdict === 'commit' || result.verdict === 'rollback') {
      await this.#writeVerdict(row, result.verdict, result);
      return;
    }
    this.#counts[result.verdict] += 1;
    const text = `${result.verdict}${result.why === undefined ? '' : `: ${result.why}`}`.slice(
      0,
      ANSWER_CHARS,
    );
    const { checkIntervalMaxMs, retryMs, retryMaxMs, undecidedAfterMs } = this.#options;
    const failure = result.verdict === 'unanswered' ? (result.failure ?? NO_CHECK) : null;
    const counts = result.verdict === 'unknown';
    const [deferred] = await this.#dependencies.database.session.run(
      deferHalf,
      row.id,
      row.epoch,
      counts,
      text,
      checkIntervalMaxMs,
      retryMs,
      retryMaxMs,
      failure,
      undecidedAfterMs,
      FAILURES_MIN,
    );
    if (deferred === undefined) this.#counts.fenced += 1;
    if (deferred?.undecided !== true) return;
    this.#counts.undecided += 1;
    this.#logger.error(
      `half message ${row.id} is undecided: an operator has to decide on it (waybill half show ${row.id})`,
      { group: this.#dependencies.group, lastResult: text },
    );
  }

  async #writeVerdict(
    row: ClaimedHalf,
    verdict: 'commit' | 'rollback',
    { by, why }: CheckResult,
  ): Promise<void> {
    try {
      const decision = { verdict, by, reason: why, epoch: row.epoch, from: [STATE.prepared] };
      const outcome = await this.#dependencies.store.decide(row.id, decision);
      this.#counts[outcome === 'fenced' ? 'fenced' : verdict] += 1;
    } catch (error) {
      if (
        !isWaybillError(error) ||
        (error.code !== 'HALF_MESSAGE_DECIDED' && error.code !== 'HALF_MESSAGE_OPEN')
      )
        throw error;
      this.#counts.fenced += 1;
      this.#logger.warn(
        `the check of half message ${row.id} returned ${verdict}, which was refused: ${error.message}`,
      );
    }
  }

  /** Asks the local database first, then the user's check. */
  async #ask(row: ClaimedHalf, stopping: AbortSignal): Promise<CheckResult> {
    const abort = new AbortController();
    const { checkTimeoutMs } = this.#options;
    let cut: (why: Error) => void = () => {};
    const timer = setTimeout(
      () => cut(checkError('CHECK_TIMED_OUT', `no result within ${checkTimeoutMs} ms`)),
      checkTimeoutMs,
    );
    const limit = new Promise<never>((_, reject) => {
      cut = (why) => {
        abort.abort(why);
        reject(why);
      };
    });
    limit.catch(() => {});
    this.#cuts.add(cut);
    if (stopping.aborted) cut(checkError('STOPPING', 'the process is stopping'));
    try {
      const asked = this.#verdictOf(row, abort.signal);
      // A result after the time limit is ignored.
      asked.catch(() => {});
      return await Promise.race([asked, limit]);
    } catch (error) {
      return { verdict: 'unanswered', by: 'check', why: describeError(error), failure: failureName(error) };
    } finally {
      clearTimeout(timer);
      this.#cuts.delete(cut);
    }
  }

  async #verdictOf(row: ClaimedHalf, signal: AbortSignal): Promise<CheckResult> {
    const mark = row.local === null ? null : (JSON.parse(row.local) as LocalMark);
    const local = mark === null ? undefined : await this.#databases.ask(row.id, mark);
    if (local !== undefined && local.verdict !== 'unknown') return local;
    const half = await this.#halfOf(row, signal);
    const check = this.#checkFor(half.messages);
    if (check === undefined)
      return local ?? { verdict: 'unanswered', by: 'check', why: 'this process has no check for it' };
    const verdict: unknown = await check(half);
    if (verdict !== 'commit' && verdict !== 'rollback' && verdict !== 'unknown')
      throw new TypeError(`the check returned ${show(verdict)} instead of commit, rollback or unknown`);
    return { verdict, by: 'check', why: local?.why };
  }

  #checkFor(messages: readonly MessageToCheck[]): CheckBack | undefined {
    for (const { topic } of messages) {
      const check = this.#dependencies.checks?.get(topic);
      if (check !== undefined) return check;
    }
    return this.#dependencies.checks?.get(ANY_TOPIC);
  }

  async #halfOf(row: ClaimedHalf, signal: AbortSignal): Promise<HalfToCheck> {
    const { id, preparedAt, checks } = row;
    const { codecs = {}, sealer = Sealer.none, database } = this.#dependencies;
    const messages = await contentToCheck(row, { codecs, sealer, session: database.session });
    return { id, group: this.#dependencies.group, preparedAt, checks, messages, signal };
  }
}

/** The name of the failure when no check exists. */
const NO_CHECK = 'NO_CHECK';
/** Maximum length of a failure's name, in characters. */
const FAILURE_CHARS = 60;

/** The reason for aborting a check. */
function checkError(code: 'CHECK_TIMED_OUT' | 'STOPPING', why: string): Error {
  return Object.assign(new Error(why), { code });
}

/** The code of an error, otherwise its class: it is shown where no content may be shown. */
function failureName(error: unknown): string {
  if (typeof error !== 'object' || error === null) return typeof error;
  const { code, name } = ownText(error);
  const known = [code, name].find((text) => text !== undefined && /^\w+$/.test(text));
  return (known ?? 'Error').slice(0, FAILURE_CHARS);
}

/** A check may throw any value, even one whose getters throw. */
function ownText(error: object): { readonly code?: string | undefined; readonly name?: string | undefined } {
  const text = (name: 'code' | 'name'): string | undefined => {
    try {
      const value = (error as Record<string, unknown>)[name];
      return typeof value === 'string' ? value : undefined;
    } catch {
      return undefined;
    }
  };
  return { code: text('code'), name: text('name') };
}
