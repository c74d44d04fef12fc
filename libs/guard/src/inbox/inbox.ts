import { type Logger, type SqlSession, silentLogger } from '@waybill/kernel';
import { skipWhenLocked } from '@waybill/kernel/internal';
import { emptyInboxSlot, insertInboxEntry } from '../statements.generated.js';

/** Slots of the inbox's ring; the same number as in the migration. */
const SLOTS = 16;

/** What identifies a delivery: an entry of the log, and who consumes it. The log holds nothing twice. */
export interface InboxEntry {
  readonly consumer: string;
  /** Identity of the log's database; see databaseIdentity of @waybill/schema. */
  readonly logIdentity: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The bucket of the log that the entry lies in; the inbox forgets it when the log does. */
  readonly bucketSeq: number;
}

/**
 * Lets an entry of the log take effect once in a database other than the log's: the entry is written by the
 * transaction that holds the handler's effect, so both are there or neither is.
 */
export class Inbox {
  /**
   * Takes the entry in, in the handler's transaction.
   * @returns false when it has been taken in before: its effect is there already, the handler must not run
   */
  async take(session: SqlSession, entry: InboxEntry): Promise<boolean> {
    const { bucketSeq, consumer, logIdentity, topic, partition, offset } = entry;
    const rows = await session.run(
      insertInboxEntry,
      bucketSeq % SLOTS,
      bucketSeq,
      consumer,
      logIdentity,
      topic,
      partition,
      offset,
    );
    return rows.length > 0;
  }

  /**
   * Empties what the log cannot deliver again.
   * @param oldestBucketSeq oldest bucket that the log still holds
   */
  async recycle(session: SqlSession, oldestBucketSeq: number, logger: Logger = silentLogger): Promise<void> {
    for (let slot = 0; slot < SLOTS; slot += 1) {
      await skipWhenLocked(async () => {
        const [row] = await session.run(emptyInboxSlot, slot, oldestBucketSeq);
        if (row?.emptied === true) logger.info('a slot of the inbox was emptied', { slot });
      });
    }
  }
}
