import {
  BackgroundService,
  type Clock,
  ConfigurationError,
  describeError,
  type Given,
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
  /** Checks that run at a time in this process. */
  concurrency: wholeNumber({ default: 16, min: 1, max: 1_000 }),
  /** A check that has not answered after so many milliseconds counts for nothing, and is tried again. */
  checkTimeoutMs: wholeNumber({ default: 10_000, min: 10, max: 600_000 }),
  /** Longest wait between two checks that answered UNKNOWN, in milliseconds, unless checkIntervalMs is longer. */
  checkIntervalMaxMs: wholeNumber({ default: 600_000, min: 1, max: 86_400_000 }),
  /** First wait after a check that brought no answer, in milliseconds; it doubles up to retryMaxMs. */
  retryMs: wholeNumber({ default: 1_000, min: 1, max: 600_000 }),
  /** Longest wait after a check that brought no answer, in milliseconds. */
  retryMaxMs: wholeNumber({ default: 60_000, min: 1, max: 86_400_000 }),
  /** One whose checks have failed for so long, in milliseconds, and ten times at least, is undecided. 0: it never is for that. */
  undecidedAfterMs: wholeNumber({ default: 86_400_000, min: 0, max: 3_650 * 86_400_000 }),
  /** How often it looks for half messages that are due, in milliseconds. */
  pollMs: wholeNumber({ default: 1_000, min: 1, max: 60_000 }),
};

/** Options of a {@link HalfMessageChecker}. */
export type HalfMessageCheckerOptions = Given<typeof SPECS>;

/** What a {@link HalfMessageChecker} works with. */
export interface HalfMessageCheckerDependencies {
  /** The log's database, which holds the half messages. */
  readonly bus: PgDatabase;
  readonly store: HalfStore;
  /** The producer group whose half messages it asks about. */
  readonly group: string;
  /**
   * Checks of the user's, by topic; {@link ANY_TOPIC} for all that no other is for. A half is asked about by the first of
   * its topics that has one.
   */
  readonly checks?: ReadonlyMap<string, CheckBack>;
  readonly databases?: LocalDatabases;
  readonly codecs?: Readonly<Record<string, Codec>> | undefined;
  /** Decrypts messages. Default: one without a cipher. */
  readonly sealer?: Sealer | undefined;
  /** Names this process in lists. */
  readonly instance?: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** Stands for every topic in the map of checks; no topic can be named so. */
export const ANY_TOPIC = '*';

/** What checks of this process have come to, since it was made. */
export interface CheckCounts {
  readonly commit: number;
  readonly rollback: number;
  readonly unknown: number;
  /** The local transaction had not ended. */
  readonly open: number;
  /** The check threw, timed out, or there is none. */
  readonly unanswered: number;
  /** Answers that came when another process had claimed the half. */
  readonly fenced: number;
  /** Half messages that became undecided. */
  readonly undecided: number;
}

/** Answers of one check. `counts`: it was delivered and brought no verdict. */
interface CheckResult {
  readonly verdict: 'commit' | 'rollback' | 'unknown' | 'open' | 'unanswered';
  readonly by: string;
  readonly why?: string | undefined;
  /** Names what a check failed with, without anything that its message may hold. */
  readonly failure?: string;
}

type ClaimedHalf = Awaited<ReturnType<typeof claimRows>>[number];

/** A claim lasts for so many milliseconds longer than its check may, for the verdict to be written. */
const LEASE_MARGIN_MS = 5_000;
/** Due times that are older than the last look by more than this are found by the sweep only, in milliseconds. */
const LOW_MARGIN_MS = 60_000;
/** The sweep looks without a lower bound, at most as often (in milliseconds), and for at most a twentieth of the time. */
const SWEEP_MIN_MS = 15_000;
const SWEEP_PAUSES = 20;
const ANSWER_CHARS = 500;
/** A half message whose checks fail is not undecided before so many, whatever time has passed: nobody may have asked. */
const FAILURES_MIN = 10;

function claimRows(bus: PgDatabase, group: string, lowMs: number, most: number, leaseMs: number, by: string) {
  return bus.session.run(claimHalves, group, lowMs, most, leaseMs, by);
}

/**
 * Asks about half messages that were left open: in any process of their producer group, by a claim in the database that
 * lasts for a while, so that a process which dies or stands still keeps nobody waiting and its late answer is refused.
 */
export class HalfMessageChecker {
  readonly service: BackgroundService;
  readonly #options;
  readonly #dependencies: HalfMessageCheckerDependencies;
  readonly #databases: LocalDatabases;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #running = new Set<Promise<void>>();
  /** Of the checks under way: each ends one. */
  readonly #cuts = new Set<(why: Error) => void>();
  readonly #counts = { commit: 0, rollback: 0, unknown: 0, open: 0, unanswered: 0, fenced: 0, undecided: 0 };
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
      throw new ConfigurationError('Check-back needs a group', ['group is empty']);
    this.service = new BackgroundService({
      name: 'the check-back of half messages',
      runOnce: (signal) => this.#look(signal),
      idleMinMs: Math.min(50, this.#options.pollMs),
      idleMaxMs: this.#options.pollMs,
      clock: this.#clock,
      logger: this.#logger,
    });
  }

  start(): void {
    this.service.start();
  }

  /** Ends the checks under way by their signal: what they have not answered is asked again by others. */
  async stop(): Promise<void> {
    const stopped = this.service.stop();
    for (const cut of this.#cuts) cut(checkError('STOPPING', 'the process is stopping'));
    await stopped;
    await Promise.all(this.#running);
  }

  /** What the checks of this process have come to. */
  get counts(): CheckCounts {
    return { ...this.#counts };
  }

  /** Checks that are under way in this process. */
  get running(): number {
    return this.#running.size;
  }

  /** One pass: claims what is due, checks it, and waits for the verdicts. For tests and commands; the service does not wait. */
  async runOnce(): Promise<PassResult> {
    const claimed = await this.#claim(new AbortController().signal);
    await Promise.all(this.#running);
    return claimed > 0 ? 'again' : 'idle';
  }

  async #look(signal: AbortSignal): Promise<PassResult> {
    // As many are claimed as can be checked at once: a claim that waits for its turn would lapse.
    if (this.#running.size >= this.#options.concurrency) await Promise.race(this.#running);
    return (await this.#claim(signal)) > 0 ? 'again' : 'idle';
  }

  async #claim(signal: AbortSignal): Promise<number> {
    const { concurrency, checkTimeoutMs } = this.#options;
    const free = concurrency - this.#running.size;
    if (free <= 0) return 0;
    const { bus, group, instance = `process ${process.pid}` } = this.#dependencies;
    const startedAt = this.#clock.monotonic();
    const sweep = startedAt >= this.#sweepAt;
    const lease = checkTimeoutMs + LEASE_MARGIN_MS;
    const rows = await claimRows(bus, group, sweep ? 0 : this.#lowMs, free, lease, instance);
    const tookMs = this.#clock.monotonic() - startedAt;
    if (sweep && rows.length < free)
      this.#sweepAt = startedAt + Math.max(SWEEP_MIN_MS, SWEEP_PAUSES * tookMs);
    const nowMs = rows[0]?.nowMs;
    if (nowMs !== undefined && rows.length < free) this.#lowMs = Math.max(this.#lowMs, nowMs - LOW_MARGIN_MS);
    for (const row of rows) {
      const check = this.#check(row, signal).catch((error: unknown) =>
        // The claim lapses, and somebody asks again.
        this.#logger.warn(`the verdict on half message ${row.id} was not written: ${describeError(error)}`),
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
    const [deferred] = await this.#dependencies.bus.session.run(
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
      `half message ${row.id} is undecided: an operator has to decide about it (waybill half show ${row.id})`,
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
      this.#logger.warn(`the check of half message ${row.id} answered ${verdict}: ${error.message}`);
    }
  }

  /** Asks anyone who knows: the local database, then the user's check. */
  async #ask(row: ClaimedHalf, stopping: AbortSignal): Promise<CheckResult> {
    const abort = new AbortController();
    const { checkTimeoutMs } = this.#options;
    let cut: (why: Error) => void = () => {};
    const timer = setTimeout(
      () => cut(checkError('CHECK_TIMED_OUT', `no answer within ${checkTimeoutMs} ms`)),
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
      // It may answer long after its time; nobody listens then.
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
      return local ?? { verdict: 'unanswered', by: 'check', why: 'there is no check for it in this process' };
    const verdict: unknown = await check(half);
    if (verdict !== 'commit' && verdict !== 'rollback' && verdict !== 'unknown')
      throw new TypeError(`the check answered ${show(verdict)}, not commit, rollback or unknown`);
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
    const { codecs = {}, sealer = Sealer.none, bus } = this.#dependencies;
    const messages = await contentToCheck(row, { codecs, sealer, session: bus.session });
    return { id, group: this.#dependencies.group, preparedAt, checks, messages, signal };
  }
}

/** Stands for an error where there is no check that could fail. */
const NO_CHECK = 'NO_CHECK';
/** Longest name of a failure, in characters. */
const FAILURE_CHARS = 60;

/** Why a check was given up. */
function checkError(code: 'CHECK_TIMED_OUT' | 'STOPPING', why: string): Error {
  return Object.assign(new Error(why), { code });
}

/** An error by its code, else by its class: it is shown where no content may be. */
function failureName(error: unknown): string {
  if (typeof error !== 'object' || error === null) return typeof error;
  const { code, name } = ownText(error);
  const known = [code, name].find((text) => text !== undefined && /^\w+$/.test(text));
  return (known ?? 'Error').slice(0, FAILURE_CHARS);
}

/** What a check throws is anybody's: its getters may throw as well. */
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
