import { type Clock, describeError, type Logger } from '@waybill/kernel';
import { withinTime } from '@waybill/kernel/internal';
import { DelayedError, type Job, Queue, Worker } from 'bullmq';
import type { DatabaseTime } from './database-time.js';
import { TIMER_QUEUE } from './redis-record.js';
import { COMMAND_TIMEOUT_MS, openRedis, type RedisClient, type RedisGiven } from './redis-connections.js';

/** The number of jobs added in one round trip. */
const ADD_AT_ONCE = 500;
const ADD_TIMEOUT_MS = 2 * COMMAND_TIMEOUT_MS;
const CLOSE_TIMEOUT_MS = 1_000;
const CONCURRENCY = 10;
const KEPT_EVENTS = 100;

interface SlotJob {
  /** End of the slot by the database's clock, in milliseconds since the epoch. */
  readonly dueMs: number;
}

/** Dependencies of a {@link SlotQueue}. */
export interface SlotQueueDependencies {
  readonly redis: RedisGiven;
  readonly client: RedisClient;
  readonly prefix: string;
  readonly slotMs: number;
  readonly time: DatabaseTime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ring: () => void;
}

/** BullMQ's side of the Redis clock: one delayed job for each slot of time in which timers are due. */
export class SlotQueue {
  readonly #queue: Queue<SlotJob>;
  readonly #worker: Worker<SlotJob>;
  readonly #workerClient: RedisClient;

  constructor(private readonly dependencies: SlotQueueDependencies) {
    const { redis, client, prefix, logger } = dependencies;
    // BullMQ and ioredis repeat every error as an event; the Redis watch reports the problem once.
    const onError = (error: Error): void => logger.debug(`the timer queue: ${describeError(error)}`);
    this.#queue = new Queue(TIMER_QUEUE, {
      prefix,
      connection: client,
      streams: { events: { maxLen: KEPT_EVENTS } },
    });
    this.#queue.on('error', onError);
    this.#workerClient = openRedis(redis, true, onError);
    this.#worker = new Worker(TIMER_QUEUE, (job, token) => this.#work(job, token), {
      prefix,
      connection: this.#workerClient,
      concurrency: CONCURRENCY,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    this.#worker.on('error', onError);
  }

  /** Adds a job for each slot; one that already has a job keeps it. Rejects if Redis does not accept them in time. */
  async add(slots: readonly number[]): Promise<void> {
    for (let from = 0; from < slots.length; from += ADD_AT_ONCE) {
      const jobs = slots.slice(from, from + ADD_AT_ONCE).map((slot) => this.#jobOf(slot));
      await respondsWithin(this.#queue.addBulk(jobs), ADD_TIMEOUT_MS);
    }
  }

  #jobOf(slot: number): { name: string; data: SlotJob; opts: object } {
    const dueMs = slot * this.dependencies.slotMs;
    const delay = Math.max(0, Math.ceil(dueMs - (this.dependencies.time.now() ?? dueMs)));
    return {
      name: 'due',
      data: { dueMs },
      opts: { jobId: `slot-${slot}`, delay, removeOnComplete: true, removeOnFail: true },
    };
  }

  /** A delay is measured by the clocks of processes; the database's clock decides whether it is over. */
  async #work(job: Job<SlotJob>, token: string | undefined): Promise<void> {
    const { time, clock, slotMs, ring } = this.dependencies;
    const restMs = job.data.dueMs - (time.now() ?? job.data.dueMs);
    if (restMs > 2 * slotMs) {
      await job.moveToDelayed(Date.now() + Math.ceil(restMs), token);
      throw new DelayedError();
    }
    if (restMs > 0) await clock.sleep(restMs);
    ring();
  }

  /**
   * Redis checks whether a worker's wait is over when it receives a command, and otherwise ten times a second (its
   * setting `hz`): so it is sent a command at the right time.
   */
  nudge(): void {
    this.dependencies.client.ping().catch(() => {});
  }

  /** Closes the connections to Redis, whatever their state. */
  async close(): Promise<void> {
    await respondsWithin(this.#worker.close(true), CLOSE_TIMEOUT_MS).catch(() => {});
    await respondsWithin(this.#queue.close(), CLOSE_TIMEOUT_MS).catch(() => {});
    this.#workerClient.disconnect();
  }
}

function respondsWithin<T>(answer: Promise<T>, limitMs: number): Promise<T> {
  return withinTime(answer, limitMs, () => new Error(`Redis did not respond within ${limitMs} ms`));
}
