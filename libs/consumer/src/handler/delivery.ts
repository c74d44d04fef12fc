import type { SqlSession } from '@waybill/kernel';

/** One hand-over of a message to a handler. */
export interface Delivery {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Headers of Waybill's own (`waybill-…`), which no user can write: whose request or command it is. */
  readonly control: Readonly<Record<string, string>>;
  /** The message's id; null for records of producers that give none. */
  readonly messageId: string | null;
  /** Whose data it holds, where its publisher said so. */
  readonly subject: string | null;
  /** When the message was published. */
  readonly timestamp: Date;
  /** Counts the attempts to handle this message, from 1; it goes on when the partition changes hands. */
  readonly attempt: number;
  /** Whether an operator has redriven it, as a dead letter: it is wanted however late it is. */
  readonly isRedriven: boolean;
  /** As the topic's schema makes it, where there is one; else as the codec does. */
  readonly payload: unknown;
  /** The open transaction, in the type of the user's driver or ORM: a pg client, Prisma's transaction client. */
  readonly transaction: unknown;
  /** The same transaction, for Waybill's own statements; the outbox takes either. */
  readonly session: SqlSession;
  /** Aborts when the delivery cannot be committed any more. */
  readonly signal: AbortSignal;
  /**
   * Has something done as soon as this delivery's transaction is committed. A hint that speeds up what would come about
   * anyway: a crash in between forgets it. What it throws is not heard.
   */
  readonly afterCommit: (work: () => Promise<unknown>) => void;
}
