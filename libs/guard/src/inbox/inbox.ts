import { type Logger, type SqlSession, silentLogger } from '@waybill/kernel';
import { skipWhenLocked } from '@waybill/kernel/internal';
import { emptyInboxSlot, insertInboxEntry } from '../statements.generated.js';

/** Slots of the inbox's ring; the same number as in the migration. */
const SLOTS = 16;

/** The identity of a delivery: an entry of the log and its consumer. The log contains no duplicates. */
export interface InboxEntry {
  readonly consumer: string;
  /** Identity of the log's database; see databaseIdentity of @waybill/schema. */
  readonly logIdentity: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The bucket of the log that contains the entry; the inbox deletes it when the log does. */
  readonly bucketSeq: number;
}

/**
 * Lets an entry of the log take effect once in a database other than the log's: the entry is written by the
 * transaction that holds the handler's effect, so both exist or neither does.
 */
export class Inbox {
  /**
   * Enters the entry in the inbox, in the handler's transaction.
   * @returns false if it was already entered: its effect already exists, the handler must not run
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
   * Empties slots whose entries the log cannot deliver again.
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
