import type { SqlSession } from '@waybill/kernel';

/** One delivery of a message to a handler. */
export interface Delivery {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Waybill's own headers (`waybill-…`), which users cannot set: they identify the request or command. */
  readonly control: Readonly<Record<string, string>>;
  /** The message's id; null if its producer gave none. */
  readonly messageId: string | null;
  /** The subject of its data, if its publisher named one. */
  readonly subject: string | null;
  /** When the message was published. */
  readonly timestamp: Date;
  /** Number of this attempt, from 1; the count continues when the partition changes hands. */
  readonly attempt: number;
  /** Whether it is a dead letter that an operator has redriven: it is handled however late it is. */
  readonly isRedriven: boolean;
  /** The output of the topic's schema if there is one; otherwise of the codec. */
  readonly payload: unknown;
  /** The open transaction, in the type of the user's driver or ORM: a pg client, Prisma's transaction client. */
  readonly transaction: unknown;
  /** The same transaction, for Waybill's own statements; the outbox takes either. */
  readonly session: SqlSession;
  /** Aborts when the delivery can no longer be committed. */
  readonly signal: AbortSignal;
  /**
   * Runs a callback as soon as this delivery's transaction is committed. Use it as a hint that speeds up something that
   * happens anyway: a crash in between loses it. Its errors are ignored.
   */
  readonly afterCommit: (work: () => Promise<unknown>) => void;
}
