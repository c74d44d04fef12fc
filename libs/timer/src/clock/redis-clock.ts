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

/** Default prefix of all of Waybill's keys in Redis. */
export const DEFAULT_REDIS_PREFIX = '{waybill}';

/** The longest window, in milliseconds. */
const WINDOW_MAX_MS = 1_800_000;

const SPECS = {
  /** Prefix of all keys in Redis; in braces, so that a cluster keeps them in one slot. */
  prefix: text({
    default: DEFAULT_REDIS_PREFIX,
    pattern: /^[\w.{}-]{1,100}$/,
    meaning: '1 to 100 characters of A-Z a-z 0-9 _ . - { }',
  }),
  /** Width of a slot, in milliseconds: timers due within one slot share a job, and fire at its end. */
  slotMs: wholeNumber({ default: 20, min: 10, max: 50 }),
  /** How far ahead timers are armed in Redis, in milliseconds. */
  windowMs: wholeNumber({ default: 900_000, min: 10_000, max: WINDOW_MAX_MS }),
  /** How long PostgreSQL is the clock after Redis has failed to wake a process for a due timer, in milliseconds. */
  distrustMs: wholeNumber({ default: 10_000, min: 0, max: 600_000 }),
};

/** Options of a {@link RedisClock}. */
export type RedisClockOptions = Given<typeof SPECS>;

/** Dependencies of a {@link RedisClock}. */
export interface RedisClockDependencies {
  readonly redis: RedisGiven;
  readonly database: PgDatabase;
  readonly time: DatabaseTime;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** State of the Redis clock. */
export interface RedisClockStatus {
  readonly trouble: string | undefined;
  /** How often this process has loaded the whole window. */
  readonly loads: number;
  /** It should be `noeviction`; `unknown` if the server does not report it. */
  readonly maxmemoryPolicy: string | undefined;
}

const WATCH_MS = 1_000;
/** The connection is given up after this many consecutive checks without a response. */
const SILENT_LOOKS = 3;
/** Time after which a connection that is still opening counts as trouble, in milliseconds. */
const CONNECTING_MS = 2_000;
/** The window is extended when its end has come this much closer. */
const EXTEND_SHARE = 0.1;
/** A failed load is retried after this many watches, doubled each time. */
const LONGEST_PAUSE_WATCHES = 4;
/** Polling interval of a process that is not woken, in case Redis has lost something. */
const SAFETY_MS = 1_000;
/** The most slots with timers that this process remembers; a window has fewer. */
const MAX_SLOTS = 200_000;

/**
 * BullMQ's delayed jobs as a clock: a job for each slot of time within the window in which timers are due. A timer due
 * within two slots wakes this process directly, since its job might already be running.
 *
 * A watch checks Redis every second. If the server is a different one, or has lost the record of the last load, the
 * window is reloaded from the database; while Redis does not respond, or accepts no writes, {@link trouble} is set.
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
  /** Whether slots added by this process may be missing in Redis. */
  #missing = false;
  /** Whether to load the whole window, whatever the record is. */
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
      name: 'the Redis watch',
      runOnce: () => this.#look(),
      idleMinMs: WATCH_MS,
      idleMaxMs: WATCH_MS,
      clock: dependencies.clock,
      logger: dependencies.logger,
    });
  }

  get trouble(): string | undefined {
    if (this.#trouble === undefined && this.dependencies.clock.monotonic() < this.#distrustedUntil)
      return 'it has not woken this process for a due timer';
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

  /** Remembers a slot, and adds its job; during trouble, that is done once it is over. */
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

  /** Distrusts Redis for a while: a timer was overdue, and Redis had not woken any process for it. */
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
      this.#fail(`it accepts no jobs (${describeError(error)})`);
    } finally {
      this.#adding = undefined;
    }
  }

  async #add(slots: readonly number[]): Promise<void> {
    await this.#queue?.add(slots);
    const now = this.dependencies.time.now() ?? 0;
    // It took so long that the slot's job may already have run: then this one was not a new job.
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
      this.#fail(`it does not respond correctly (${describeError(error)})`);
      this.#leaveSilence(client);
    }
    return 'idle';
  }

  /** A connection that a firewall has dropped can stay open for a quarter of an hour: a new one is made. */
  #leaveSilence(client: RedisClient): void {
    if (this.#silentLooks < SILENT_LOOKS) return;
    this.#silentLooks = 0;
    client.disconnect(true);
  }

  async #bringUpToDate(client: RedisClient, { record, server }: RedisLook): Promise<void> {
    const now = await this.#databaseNow();
    // A window that no process loads was not written by a process.
    const odd = record !== undefined && !(record.untilMs > now && record.untilMs <= now + WINDOW_MAX_MS);
    const lost = record === undefined || record.server !== server || odd;
    if (lost || this.#forgotten) {
      if (this.#pauseWatches > 0) this.#pauseWatches -= 1;
      else await this.#load(client, server, now);
      return;
    }
    this.#accepting = true;
    if (record.epoch !== this.#epoch || this.#missing) {
      // Another process has reloaded; timers armed here since it read the database may be missing.
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

  /** Arms all timers due within the window, after a check that Redis accepts writes at all. */
  async #load(client: RedisClient, server: string, now: number): Promise<void> {
    const untilMs = now + this.#windowMs;
    this.#pauseWatches = Math.min(2 ** this.#failedLoads, LONGEST_PAUSE_WATCHES);
    this.#failedLoads += 1;
    await client.set(`${this.#recordKey}:probe`, '1', 'PX', 60_000);
    // Timers committed before the database is read are found there; later ones are armed by their own process.
    this.#accepting = true;
    this.#slots.clear();
    this.#pending.clear();
    this.#forgotten = false;
    const loaded = await this.#loadSlots(now, untilMs);
    this.#pauseWatches = 0;
    // Another process is reading: by the next watch it has written its record, or this one retries.
    if (!loaded) return;
    this.#epoch = newEpoch();
    await writeRecord(client, this.#recordKey, { epoch: this.#epoch, server, untilMs });
    this.#loads += 1;
    this.#failedLoads = 0;
    this.#missing = false;
    this.#recover();
  }

  /** @returns false if another process is reading the window */
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
    // Loading BullMQ takes as long as all the rest: only if it is used.
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
      `Redis may evict the timer clock's data: its maxmemory-policy is ${this.#policy}. Set it to noeviction`,
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
    // The process must poll from now on.
    if (rely) this.#ring();
    const connecting =
      this.#reported === undefined && this.dependencies.clock.monotonic() < this.#startedAt + CONNECTING_MS;
    if (connecting || this.#reported === 'trouble') return;
    this.#reported = 'trouble';
    this.dependencies.logger.warn(`timer clock degraded from Redis to PostgreSQL: ${trouble}`);
  }

  #recover(): void {
    this.#trouble = undefined;
    if (this.#reported === 'fine') return;
    this.#reported = 'fine';
    this.dependencies.logger.info('Redis is the timer clock');
  }
}
