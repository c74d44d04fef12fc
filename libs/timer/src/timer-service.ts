import {
  BackgroundService,
  type Bell,
  bindStatement,
  type Clock,
  type Given,
  IdlePace,
  type Logger,
  type PassResult,
  type PgConnection,
  type PgDatabase,
  resolveOptions,
  systemClock,
  wholeNumber,
  type BoundStatement,
} from '@waybill/kernel';
import { isTransactionConflict, guardLogger } from '@waybill/kernel/internal';
import { type LogEngine, type MessageSink, sinkFor, WorkNotes } from '@waybill/log';
import { blamesMessage, learnsOfTopics, Rejections } from '@waybill/log/internal';
import { DatabaseTime } from './clock/database-time.js';
import { PostgresClock } from './clock/postgres-clock.js';
import { RedisClock, type RedisClockOptions } from './clock/redis-clock.js';
import type { RedisGiven } from './clock/redis-connections.js';
import type { TimerClock } from './clock/timer-clock.js';
import { claimTimers, probeTimers } from './statements.generated.js';
import { type LatenessBucket, LatenessHistogram } from './lateness-histogram.js';
import { messageEffect } from './message-effect.js';
import { RecurringEffect } from './recurring/recurring-effect.js';
import type { DueTimer, FiringPass, TimerEffect } from './timer-effect.js';
import type { TimerAlarm } from './timer-message.js';
import { TimerUpkeep } from './timer-upkeep.js';
import { setAsideStatement, type UnfiredTimer, unfiredTimer } from './unfired-timer.js';

const SPECS = {
  /** Longest time between two polls of the database when it is the clock, in milliseconds. */
  pollMs: wholeNumber({ default: 100, min: 1, max: 60_000 }),
  /**
   * The same when no timer has been scheduled or fired for a minute, in milliseconds. Scheduling in this process, and the
   * announcement of another one, wake it. Not above `pollMs`: always `pollMs`, as it is while signals are not received.
   */
  pollIdleMs: wholeNumber({ default: 1_000, min: 1, max: 60_000 }),
  /** The most timers that one pass fires. */
  passTimers: wholeNumber({ default: 1_000, min: 1, max: 10_000 }),
  /** Maximum size of a record batch, in bytes. */
  batchBytes: wholeNumber({ default: 1024 * 1024, min: 1_024, max: 16 * 1024 * 1024 }),
  /** A process that hangs in a pass loses its session, and its claimed timers, after this time, in milliseconds. */
  leaseMs: wholeNumber({ default: 5_000, min: 100, max: 600_000 }),
};

/** Options of a {@link TimerService}. */
export type TimerServiceOptions = Given<typeof SPECS> & RedisClockOptions;

/** Dependencies of a {@link TimerService}. */
export interface TimerServiceDependencies {
  /** The database that holds the timers. */
  readonly database: PgDatabase;
  /** The log: due messages enter it directly if it is in the same database, otherwise by the outbox. */
  readonly log: Pick<LogEngine, 'appendWithin' | 'signals' | 'topics'>;
  /** Redis as the clock. Without it the database is the clock. */
  readonly redis?: RedisGiven;
  /** Rung when due messages wait in the outbox. */
  readonly bell?: Bell;
  /** Effects of further kinds of timers. */
  readonly effects?: readonly TimerEffect[];
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** State of timers in this process. */
export interface TimerServiceStatus {
  /** The clock in use at present. */
  readonly clock: 'postgres' | 'redis';
  /** Redis is configured, but not in use as the clock. */
  readonly degraded: boolean;
  /** Why it is degraded. */
  readonly reason: string | undefined;
  /** Timers that this service has fired since its construction. */
  readonly fired: number;
  /** How late they were when their transaction committed. */
  readonly lateness: readonly LatenessBucket[];
  /** Messages that this service has set aside because they could not be delivered. */
  readonly quarantined: number;
  /** How often this process has loaded the window into Redis. */
  readonly loads: number;
  readonly maxmemoryPolicy: string | undefined;
}

/**
 * Late commits may add timers that were due up to this long before the last pass, in milliseconds; older ones are found
 * by the upkeep's sweep.
 */
const LOW_MARGIN_MS = 1_000;
/** How overdue a timer must be to count as missed by Redis, in milliseconds. */
const OVERDUE_MS = 500;

/**
 * Fires timers: deletes due ones from the table and carries out their effects in the same transaction. So a
 * timer that is armed twice, or found by two processes, fires once, and one whose process crashes fires later.
 *
 * One process at a time claims timers, so that they fire in order. It never waits for Redis.
 */
export class TimerService implements TimerAlarm {
  readonly #options;
  readonly #dependencies: Required<Pick<TimerServiceDependencies, 'clock' | 'logger'>> &
    TimerServiceDependencies;
  readonly #effects: ReadonlyMap<number, TimerEffect>;
  readonly #kinds: readonly number[];
  readonly #sink: MessageSink;
  readonly #time: DatabaseTime;
  readonly #pace: IdlePace;
  readonly #postgres: PostgresClock;
  readonly #redis: RedisClock | undefined;
  readonly #upkeep: TimerUpkeep;
  readonly #lateness = new LatenessHistogram();
  /** The loop that fires; its bell wakes it. */
  readonly service: BackgroundService;
  /** No visible timer is due before it, except those that the sweep may find. */
  #lowMs = 0;
  #nextMs: number | null = null;
  #overdueMs = 0;
  #rung = false;
  #busy = false;
  /** Passes in a row that found due timers and could claim none. */
  #emptyClaims = 0;
  #fired = 0;
  readonly #rejections: Rejections;
  /** The most timers per pass while it searches for the timer that makes the database refuse a pass. */
  #timersMax = Infinity;
  /** The error of a timer that the database has refused individually, by its id. */
  readonly #blamed = new Map<number, unknown>();

  /** @throws ConfigurationError */
  constructor(dependencies: TimerServiceDependencies, options: TimerServiceOptions = {}) {
    const { prefix, slotMs, windowMs, distrustMs, ...rest } = options;
    this.#options = resolveOptions('scheduler', SPECS, rest);
    this.#dependencies = { clock: systemClock, ...dependencies, logger: guardLogger(dependencies.logger) };
    const { clock, logger, database, log, redis } = this.#dependencies;
    this.#rejections = new Rejections(logger, 'be delivered when due');
    const effects = [messageEffect, new RecurringEffect(logger), ...(dependencies.effects ?? [])];
    this.#effects = new Map(effects.map((effect) => [effect.kind, effect]));
    this.#kinds = [...this.#effects.keys()];
    this.#sink = sinkFor({ log, database, bell: dependencies.bell }, this.#options.batchBytes);
    this.#time = new DatabaseTime(clock);
    const { pollMs: busyMs, pollIdleMs: quietMs } = this.#options;
    this.#pace = new IdlePace({ busyMs, quietMs, isAnnounced: () => log.signals.listening, clock });
    this.#postgres = new PostgresClock(this.#time, this.#pace);
    new WorkNotes(database, log.signals.notes, { clock, logger }).onWork(() => this.#wake());
    if (redis !== undefined) {
      const redisParts = { redis, database, time: this.#time, clock, logger };
      this.#redis = new RedisClock(redisParts, { prefix, slotMs, windowMs, distrustMs });
    }
    this.#upkeep = new TimerUpkeep(database, this.#kinds, (dueMs) => this.#found(dueMs), clock, logger);
    this.service = new BackgroundService({
      name: 'the timer service',
      runOnce: (signal) => this.#look(signal),
      idleMaxMs: busyMs,
      clock,
      logger,
    });
  }

  start(): void {
    const ring = (): void => this.service.bell.ring();
    this.#postgres.start(ring);
    this.#redis?.start(ring);
    this.service.start();
    this.#upkeep.service.start();
  }

  /** Ends the current pass; later timers are fired by other processes, or after the next start. */
  async stop(): Promise<void> {
    await this.#upkeep.service.stop();
    await this.service.stop();
    await Promise.all([this.#postgres.stop(), this.#redis?.stop()]);
  }

  /** Arms the clock for scheduled timers; timers not reported here are found by polling. */
  armed(dueMs: readonly number[]): void {
    if (dueMs.length === 0) return;
    this.#pace.worked();
    this.#lowerLow(dueMs);
    if (this.#redis === undefined || this.#redis.trouble !== undefined) this.#postgres.arm(dueMs);
    this.#redis?.arm(dueMs);
  }

  get status(): TimerServiceStatus {
    const redis = this.#redis?.status;
    return {
      clock: this.#clock().name,
      degraded: redis?.trouble !== undefined,
      reason: redis?.trouble,
      fired: this.#fired,
      lateness: this.#lateness.buckets,
      quarantined: this.#rejections.count,
      loads: redis?.loads ?? 0,
      maxmemoryPolicy: redis?.maxmemoryPolicy,
    };
  }

  #clock(): TimerClock {
    return this.#redis === undefined || this.#redis.trouble !== undefined ? this.#postgres : this.#redis;
  }

  async #look(signal: AbortSignal): Promise<PassResult> {
    const clock = this.#clock();
    // The bell has not rung, although Redis is the clock: it has lost timers that are overdue now.
    const forgotten = clock.name === 'redis' && !this.#rung;
    this.#rung = false;
    const before = this.#fired;
    const result = await this.runOnce();
    if (forgotten && this.#fired > before && this.#overdueMs > OVERDUE_MS) this.#redis?.distrust();
    if (result === 'again') {
      this.#rung = true;
      return 'again';
    }
    const now = this.#time.now() ?? 0;
    const rest = this.#busy
      ? this.#options.pollMs
      : this.#clock().restMs(this.#nextMs === null ? null : this.#nextMs - now);
    this.#rung = await this.service.bell.wait(rest, signal);
    return 'again';
  }

  /** One pass: fires at most `passTimers` of those that are due. */
  async runOnce(): Promise<PassResult> {
    this.#busy = false;
    const low = this.#lowMs;
    const [probe] = await this.#dependencies.database.session.run(probeTimers, low, this.#kinds);
    if (probe === undefined) return 'idle';
    this.#time.observe(probe.nowMs);
    this.#nextMs = probe.nextMs;
    this.#overdueMs = probe.nextMs === null ? 0 : probe.nowMs - probe.nextMs;
    if (probe.nextMs === null || probe.nextMs > probe.nowMs) {
      this.#emptyClaims = 0;
      this.#raiseLow(low, probe.nowMs - LOW_MARGIN_MS);
      return 'idle';
    }
    await this.#sink.ready();
    return this.#dependencies.database.withConnection(async (connection) => {
      try {
        return await this.#fire(connection, low);
      } catch (error) {
        await connection.rollback();
        // Another process is firing, or a timer was moved while being claimed.
        if (!isTransactionConflict(error)) throw error;
        this.#busy = true;
        return 'idle';
      }
    });
  }

  async #fire(connection: PgConnection, low: number): Promise<PassResult> {
    const { leaseMs } = this.#options;
    const most = Math.min(this.#options.passTimers, this.#timersMax);
    const claim = bindStatement(claimTimers, low, this.#kinds, most, leaseMs);
    const [rows] = await connection.runBatch([claim], { begin: true });
    const claimedAt = this.#dependencies.clock.monotonic();
    const timers = (rows as (DueTimer & { nowMs: number })[]).toSorted(
      (a, b) => a.dueMs - b.dueMs || a.id - b.id,
    );
    const nowMs = timers[0]?.nowMs;
    if (nowMs === undefined) {
      await connection.rollback();
      this.#emptyClaims += 1;
      // Another process has just claimed them.
      if (this.#emptyClaims === 1) return 'again';
      // They are still due: a transaction that cancels or moves them holds their locks, perhaps for long.
      this.#busy = true;
      return 'idle';
    }
    this.#emptyClaims = 0;
    const firing = await this.#effectsOf(connection, timers, nowMs);
    const { unfired } = firing;
    // A topic may have been created, or removed, since they were read.
    if (unfired.length > 0 && (await learnsOfTopics(this.#dependencies.log.topics, unfired))) {
      await connection.rollback();
      return 'again';
    }
    let results: unknown[][];
    try {
      results = await connection.runBatch(this.#statementsOf(firing), { commit: true });
    } catch (error) {
      await connection.rollback();
      if (!(await this.#blame(error, timers))) throw error;
      return 'again';
    }
    this.#timersMax = this.#timersMax < this.#options.passTimers ? this.#timersMax * 2 : Infinity;
    this.#blamed.clear();
    const last = timers.at(-1)?.dueMs ?? nowMs;
    this.#raiseLow(low, Math.min(timers.length < most ? nowMs : last, nowMs - LOW_MARGIN_MS));
    this.#count(timers, nowMs + this.#dependencies.clock.monotonic() - claimedAt);
    if (firing.sending.length > 0) this.#sink.sent();
    this.armed(dueTimesIn(results.slice(0, firing.statements.length)));
    this.#rejections.note(unfired);
    return 'again';
  }

  /** The work of firing these; those that cannot be fired are left out. */
  async #effectsOf(session: PgConnection, timers: readonly DueTimer[], nowMs: number): Promise<Firing> {
    const statements: BoundStatement[] = [];
    const unfired: UnfiredTimer[] = [];
    for (const timer of timers)
      if (this.#blamed.has(timer.id)) unfired.push(unfiredTimer(timer, this.#blamed.get(timer.id)));
    const sound = timers.filter(({ id }) => !this.#blamed.has(id));
    const sending = await this.#sink.collect(async (add) => {
      const pass: FiringPass = {
        session,
        nowMs,
        append: (message, timer) => {
          try {
            add(message);
          } catch (error) {
            unfired.push(unfiredTimer(timer, error, message));
          }
        },
        setAside: (timer, error) => void unfired.push(unfiredTimer(timer, error)),
        run: (statement) => void statements.push(statement),
      };
      for (const [kind, effect] of this.#effects) {
        const ofKind = sound.filter((timer) => timer.kind === kind);
        if (ofKind.length > 0) await effect.fire(ofKind, pass);
      }
    });
    return { statements, sending, unfired };
  }

  #statementsOf({ statements, sending, unfired }: Firing): BoundStatement[] {
    const aside = unfired.length > 0 ? [setAsideStatement(unfired)] : [];
    return [...statements, ...aside, ...sending];
  }

  /**
   * Searches for the timer that makes the database refuse a pass, by halving, like the relay. @returns false if none is
   * the cause
   */
  async #blame(error: unknown, timers: readonly DueTimer[]): Promise<boolean> {
    const [only] = timers;
    if (only === undefined || !blamesMessage(error) || this.#blamed.has(only.id)) return false;
    await this.#dependencies.log.topics.list();
    if (timers.length === 1) this.#blamed.set(only.id, error);
    else this.#timersMax = Math.ceil(timers.length / 2);
    return true;
  }

  #count(timers: readonly DueTimer[], committedMs: number): void {
    this.#pace.worked();
    this.#fired += timers.length;
    for (const { dueMs } of timers) this.#lateness.add(Math.max(0, committedMs - dueMs));
  }

  #wake(): void {
    this.#pace.worked();
    this.service.bell.ring();
  }

  /** Called when the sweep has found a timer that is due before the low bound. */
  #found(dueMs: number): void {
    this.#lowerLow([dueMs]);
    this.service.bell.ring();
  }

  #lowerLow(dueMs: readonly number[]): void {
    for (const due of dueMs) if (due < this.#lowMs) this.#lowMs = due;
  }

  /** Unless it was lowered in the meantime. */
  #raiseLow(from: number, to: number): void {
    if (this.#lowMs === from) this.#lowMs = Math.max(from, to);
  }
}

/** The work of a pass, apart from deleting its timers. */
interface Firing {
  readonly statements: readonly BoundStatement[];
  /** What sends the due messages. */
  readonly sending: readonly BoundStatement[];
  readonly unfired: readonly UnfiredTimer[];
}

/** Due times of timers scheduled by the effects. */
function dueTimesIn(results: readonly unknown[][]): number[] {
  return (results as { dueMs?: unknown }[][])
    .flat()
    .flatMap(({ dueMs }) => (typeof dueMs === 'number' ? [dueMs] : []));
}
