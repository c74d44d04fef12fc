import {
  type Given,
  type Logger,
  type PassResult,
  type PgDatabase,
  resolveOptions,
  Retention,
  silentLogger,
  wholeNumber,
} from '@waybill/kernel';
import { skipWhenLocked } from '@waybill/kernel/internal';
import { dropBucket, findUnread, openBucket, recycleSources } from '../statements.generated.js';

const HOUR_MS = 3_600_000;

const SPECS = {
  /** How long a bucket of the log's ring is appended to, in milliseconds. */
  bucketMs: wholeNumber({ default: 24 * HOUR_MS, min: 1, max: 366 * 24 * HOUR_MS }),
  /** Interval between two retention passes, in milliseconds. */
  intervalMs: wholeNumber({ default: 60_000, min: 10, max: 24 * HOUR_MS }),
};

/** Options of the log's retention. */
export type LogRetentionOptions = Given<typeof SPECS>;

/**
 * Turns the log's rings: opens the next bucket in time, empties expired buckets by TRUNCATE, and recycles the slots of
 * passes. Any number of processes may run it; each step takes a lock in the database,
 * and one that cannot get its lock within 50 ms is left for the next pass.
 */
export class LogRetention extends Retention {
  readonly #bucketMs: number;

  constructor(
    private readonly database: PgDatabase,
    options: LogRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const { bucketMs, intervalMs } = resolveOptions("log's retention", SPECS, options);
    super('the log', intervalMs, logger);
    this.#bucketMs = bucketMs;
  }

  /** How long a bucket is appended to, in milliseconds. */
  get bucketMs(): number {
    return this.#bucketMs;
  }

  /** One pass: at most one bucket opened, one dropped, and one slot recycled. */
  async runOnce(): Promise<PassResult> {
    const session = this.database.session;
    await skipWhenLocked(async () => {
      const [row] = await session.run(openBucket, this.#bucketMs);
      if (row?.opened === true) this.logger.info('a new bucket of the log was opened');
    });
    await skipWhenLocked(async () => {
      const unread = await session.run(findUnread);
      const [row] = await session.run(dropBucket);
      if (row?.dropped !== true) return;
      this.logger.info('the oldest bucket of the log was emptied');
      for (const { groupName, topic, number, position, nextBucketOffset } of unread) {
        this.logger.error(`group ${groupName} has lost records of ${topic}[${number}] that it had not read`, {
          from: position,
          upTo: nextBucketOffset,
        });
      }
    });
    await skipWhenLocked(() => session.run(recycleSources));
    return 'idle';
  }
}
