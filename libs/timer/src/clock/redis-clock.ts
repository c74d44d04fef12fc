import {
  BackgroundService,
  type Clock,
  describeError,
  type Given,
  type Logger,
  type PassResult,
  type PgDatabase,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { text } from '@waybill/kernel/internal';
import { databaseTime, readTimerWindow } from '../statements.generated.js';
import type { DatabaseTime } from './database-time.js';
import { assertRedis, openRedis, type RedisClient, type RedisGiven } from './redis-connections.js';
import {
  lookAtRedis,
  newEpoch,
  readEvictionPolicy,
  type RedisLook,
  writeRecord,
  TIMER_QUEUE,
} from './redis-record.js';
import type { SlotQueue } from './slot-queue.js';
import { SlotTicker } from './slot-ticker.js';
import type { TimerClock } from './timer-clock.js';
import { WakeTimes } from './wake-times.js';

/** Prefix of all of Waybill's keys in Redis, unless an option says otherwise. */
export const DEFAULT_REDIS_PREFIX = '{waybill}';

/** The longest window, in milliseconds. */
const WINDOW_MAX_MS = 1_800_000;

const SPECS = {
  /** Prefix of all keys in Redis; in braces, so that a cluster keeps them together. */
  prefix: text({
    default: DEFAULT_REDIS_PREFIX,
    pattern: /^[\w.{}-]{1,100}$/,
    meaning: '1 to 100 of A-Z a-z 0-9 _ . - { }',
  }),
  /** Timers that are due within the same so many milliseconds share a job; they fire at its end. */
  slotMs: wholeNumber({ default: 20, min: 10, max: 50 }),
  /** How far ahead timers are armed in Redis, in milliseconds. */
  windowMs: wholeNumber({ default: 900_000, min: 10_000, max: WINDOW_MAX_MS }),
  /** PostgreSQL is the clock for so many milliseconds after Redis has failed to wake for a timer that was due. */
  distrustMs: wholeNumber({ default: 10_000, min: 0, max: 600_000 }),
};

/** Options of a {@link RedisClock}. */
export type RedisClockOptions = Given<typeof SPECS>;

/** What a {@link RedisClock} works with. */
export interface RedisClockDependencies {
  readonly redis: RedisGiven;
  readonly database: PgDatabase;
  readonly time: DatabaseTime;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How the Redis clock fares. */
export interface RedisClockStatus {
  readonly trouble: string | undefined;
  /** Times that this process has loaded the whole window. */
  readonly loads: number;
  /** `noeviction` is what it should be; `unknown` when the server does not tell. */
  readonly maxmemoryPolicy: string | undefined;
}

const WATCH_MS = 1_000;
/** After this many looks in a row without an answer the connection is given up. */
const SILENT_LOOKS = 3;
/** A connection that is being opened for so long, in milliseconds, is trouble. */
const CONNECTING_MS = 2_000;
/** The window is loaded further when its end has come so much nearer. */
const EXTEND_SHARE = 0.1;
/** Loads that fail are tried again after so many watches, twice as many each time. */
const LONGEST_PAUSE_WATCHES = 4;
/** A process that is not woken looks by itself as often, in case Redis has forgotten something. */
const SAFETY_MS = 1_000;
/** Slots in which this process knows of timers, at most; a window has fewer. */
const MAX_SLOTS = 200_000;

/**
 * BullMQ's delayed jobs as a clock: a job for each slot of time in which timers are due within the window. What is due
 * within two slots wakes this process directly, for its job might be running already.
 *
 * A watch looks at Redis every second. When the server is another one, or has lost the record of what was loaded, the
 * window is reloaded from the database; while Redis does not answer, or takes no writes, there is {@link trouble}.
 */
export class RedisClock implements TimerClock {
  readonly name = 'redis';
  readonly prefix: string;
  readonly #slotMs: number;
  readonly #windowMs: number;
  readonly #distrustMs: number;
  readonly #recordKey: string;
  readonly #watch: BackgroundService;
  readonly #wakes: WakeTimes;
  readonly #ticker: SlotTicker;
  readonly #slots = new Set<number>();
  #pending = new Set<number>();
  #adding: Promise<void> | undefined;
  #client: RedisClient | undefined;
  #queue: SlotQueue | undefined;
  #ring: () => void = () => {};
  #trouble: string | undefined = 'not connected yet';
  #reported: 'trouble' | 'fine' | undefined;
  #startedAt = 0;
  #epoch: string | undefined;
  /** Whether slots of this process may be missing in Redis. */
  #missing = false;
  /** Whether the whole window is to be loaded, whatever the record says. */
  #forgotten = false;
  #accepting = false;
  #distrustedUntil = -Infinity;
  #pauseWatches = 0;
  #failedLoads = 0;
  #silentLooks = 0;
  #loads = 0;
  #policy: string | undefined;

  /** @throws ConfigurationError */
  constructor(
    private readonly dependencies: RedisClockDependencies,
    options: RedisClockOptions = {},
  ) {
    assertRedis(dependencies.redis);
    const { prefix, slotMs, windowMs, distrustMs } = resolveOptions('Redis clock', SPECS, options);
    this.#distrustMs = distrustMs;
    this.prefix = prefix;
    this.#slotMs = slotMs;
    this.#windowMs = windowMs;
    this.#recordKey = `${prefix}:${TIMER_QUEUE}:window`;
    this.#wakes = new WakeTimes(dependencies.time, dependencies.clock, () => this.#ring());
    this.#ticker = new SlotTicker(dependencies.time, dependencies.clock, slotMs, (slot) => {
      if (this.#accepting && this.#slots.has(slot)) this.#queue?.nudge();
    });
    this.#watch = new BackgroundService({
      name: 'the watch over Redis',
      runOnce: () => this.#look(),
      idleMinMs: WATCH_MS,
      idleMaxMs: WATCH_MS,
      clock: dependencies.clock,
      logger: dependencies.logger,
    });
  }

  get trouble(): string | undefined {
    if (this.#trouble === undefined && this.dependencies.clock.monotonic() < this.#distrustedUntil)
      return 'it has not woken this process for a timer that was due';
    return this.#trouble;
  }

  get status(): RedisClockStatus {
    return { trouble: this.trouble, loads: this.#loads, maxmemoryPolicy: this.#policy };
  }

  start(ring: () => void): void {
    this.#ring = ring;
    this.#startedAt = this.dependencies.clock.monotonic();
    const { redis, logger } = this.dependencies;
    const client = openRedis(redis, false, (error) => logger.debug(`Redis: ${describeError(error)}`));
    client.on('ready', () => this.#watch.bell.ring());
    client.on('close', () => this.#fail('the connection is lost'));
    this.#client = client;
    this.#watch.start();
    this.#ticker.start();
  }

  async stop(): Promise<void> {
    this.#ring = () => {};
    await this.#watch.stop();
    this.#ticker.stop();
    this.#wakes.clear();
    await this.#adding;
    await this.#queue?.close();
    this.#queue = undefined;
    this.#client?.removeAllListeners('close');
    this.#client?.disconnect();
    this.#client = undefined;
    this.#trouble = 'stopped';
  }

  arm(dueMs: readonly number[]): void {
    const now = this.dependencies.time.now();
    if (now === undefined) return;
    for (const due of dueMs) {
      const slot = Math.ceil(due / this.#slotMs);
      if (slot * this.#slotMs <= now + 2 * this.#slotMs) this.#wakes.add(due);
      else if (due <= now + this.#windowMs && !this.#slots.has(slot)) this.#want(slot);
    }
    if (this.#pending.size > 0) this.#adding ??= this.#addPending();
  }

  /** Remembers a slot, and adds its job; in times of trouble that is done once they are over. */
  #want(slot: number): void {
    if (this.#slots.size >= MAX_SLOTS) {
      this.#forgotten = true;
      return;
    }
    this.#slots.add(slot);
    if (this.#accepting) this.#pending.add(slot);
    else this.#missing = true;
  }

  restMs(): number {
    return SAFETY_MS;
  }

  /** Not to be relied on for a while: a timer was overdue, and Redis had not woken anybody for it. */
  distrust(): void {
    this.#distrustedUntil = this.dependencies.clock.monotonic() + this.#distrustMs;
    this.#forgotten = true;
  }

  async #addPending(): Promise<void> {
    try {
      while (this.#pending.size > 0) {
        const slots = [...this.#pending];
        this.#pending = new Set();
        await this.#add(slots);
      }
    } catch (error) {
      this.#fail(`it takes no jobs (${describeError(error)})`);
    } finally {
      this.#adding = undefined;
    }
  }

  async #add(slots: readonly number[]): Promise<void> {
    await this.#queue?.add(slots);
    const now = this.dependencies.time.now() ?? 0;
    // It took so long that the slot's job may have run before: then this one was no new job.
    if (slots.some((slot) => slot * this.#slotMs <= now)) this.#ring();
  }

  async #look(): Promise<PassResult> {
    const client = this.#client;
    this.#forgetPast();
    if (client === undefined || client.status !== 'ready') {
      this.#fail(this.#trouble ?? 'there is no connection');
      return 'idle';
    }
    try {
      this.#silentLooks += 1;
      const seen = await lookAtRedis(client, this.#recordKey);
      this.#silentLooks = 0;
      if (this.#queue === undefined) await this.#openQueue(client);
      await this.#bringUpToDate(client, seen);
    } catch (error) {
      this.#fail(`it does not answer as it should (${describeError(error)})`);
      this.#leaveSilence(client);
    }
    return 'idle';
  }

  /** A connection that a firewall has dropped stays open for as long as a quarter of an hour: another is made. */
  #leaveSilence(client: RedisClient): void {
    if (this.#silentLooks < SILENT_LOOKS) return;
    this.#silentLooks = 0;
    client.disconnect(true);
  }

  async #bringUpToDate(client: RedisClient, { record, server }: RedisLook): Promise<void> {
    const now = await this.#databaseNow();
    // A window that no process loads was not written by one.
    const odd = record !== undefined && !(record.untilMs > now && record.untilMs <= now + WINDOW_MAX_MS);
    const lost = record === undefined || record.server !== server || odd;
    if (lost || this.#forgotten) {
      if (this.#pauseWatches > 0) this.#pauseWatches -= 1;
      else await this.#load(client, server, now);
      return;
    }
    this.#accepting = true;
    if (record.epoch !== this.#epoch || this.#missing) {
      // Another process has reloaded; what was armed here since it read the database may be missing.
      this.#missing = false;
      await this.#add([...this.#slots]);
      this.#epoch = record.epoch;
    }
    if (record.untilMs < now + this.#windowMs * (1 - EXTEND_SHARE)) {
      const untilMs = now + this.#windowMs;
      if (await this.#loadSlots(record.untilMs, untilMs))
        await writeRecord(client, this.#recordKey, { ...record, untilMs });
    }
    this.#recover();
  }

  /** Arms everything that is due within the window. Redis is asked first whether it takes writes at all. */
  async #load(client: RedisClient, server: string, now: number): Promise<void> {
    const untilMs = now + this.#windowMs;
    this.#pauseWatches = Math.min(2 ** this.#failedLoads, LONGEST_PAUSE_WATCHES);
    this.#failedLoads += 1;
    await client.set(`${this.#recordKey}:probe`, '1', 'PX', 60_000);
    // What is committed before the database is read is found there; what comes later is armed by its own process.
    this.#accepting = true;
    this.#slots.clear();
    this.#pending.clear();
    this.#forgotten = false;
    const loaded = await this.#loadSlots(now, untilMs);
    this.#pauseWatches = 0;
    // Another process is reading: by the next watch it has written its record, or this one tries again.
    if (!loaded) return;
    this.#epoch = newEpoch();
    await writeRecord(client, this.#recordKey, { epoch: this.#epoch, server, untilMs });
    this.#loads += 1;
    this.#failedLoads = 0;
    this.#missing = false;
    this.#recover();
  }

  /** @returns false when another process is reading the window */
  async #loadSlots(fromMs: number, untilMs: number): Promise<boolean> {
    const [row] = await this.dependencies.database.session.run(
      readTimerWindow,
      Math.floor(fromMs),
      Math.ceil(untilMs),
      this.#slotMs,
    );
    if (row === undefined || row.busy) return false;
    const slots = row.slots ?? [];
    await this.#add(slots as readonly number[]);
    for (const slot of slots as readonly number[]) if (this.#slots.size < MAX_SLOTS) this.#slots.add(slot);
    return true;
  }

  async #openQueue(client: RedisClient): Promise<void> {
    const { redis, time, clock, logger } = this.dependencies;
    // BullMQ takes as long to load as all the rest: only where it is used.
    const { SlotQueue: Queue } = await import('./slot-queue.js');
    this.#queue = new Queue({
      redis,
      client,
      prefix: this.prefix,
      slotMs: this.#slotMs,
      time,
      clock,
      logger,
      ring: () => this.#ring(),
    });
    this.#policy = await readEvictionPolicy(client);
    if (this.#policy === 'noeviction' || this.#policy === 'unknown') return;
    logger.warn(
      `Redis may evict what the clock of timers has stored: its maxmemory-policy is ${this.#policy}. Set it to noeviction`,
    );
  }

  async #databaseNow(): Promise<number> {
    const known = this.dependencies.time.now();
    if (known !== undefined) return known;
    const [row] = await this.dependencies.database.session.run(databaseTime);
    this.dependencies.time.observe(row?.nowMs ?? 0);
    return row?.nowMs ?? 0;
  }

  #forgetPast(): void {
    const current = (this.dependencies.time.now() ?? 0) / this.#slotMs;
    for (const slot of this.#slots) if (slot < current) this.#slots.delete(slot);
  }

  #fail(trouble: string): void {
    const rely = this.trouble === undefined;
    this.#trouble = trouble;
    this.#accepting = false;
    this.#missing = true;
    // The process is to look for itself from now on.
    if (rely) this.#ring();
    const connecting =
      this.#reported === undefined && this.dependencies.clock.monotonic() < this.#startedAt + CONNECTING_MS;
    if (connecting || this.#reported === 'trouble') return;
    this.#reported = 'trouble';
    this.dependencies.logger.warn(`Redis is not the clock of timers for now, PostgreSQL is: ${trouble}`);
  }

  #recover(): void {
    this.#trouble = undefined;
    if (this.#reported === 'fine') return;
    this.#reported = 'fine';
    this.dependencies.logger.info('Redis is the clock of timers');
  }
}
