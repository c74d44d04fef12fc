import { type BoundStatement, bindStatement, type SqlSession } from '@waybill/kernel';
import { restoreHeaders, storeHeaders } from '@waybill/dead-letter/internal';
import type { PartitionProgress } from '../progress/partition-progress.js';
import type { LaneRecord } from '../record/lane-record.js';
import { messageIdOf } from '../record/record-fields.js';
import {
  beginParked,
  delayParked,
  listParked,
  parkMessages,
  removeParked,
  restParked,
} from '../statements.generated.js';

/** A message to park. */
export interface MessageToPark {
  readonly record: LaneRecord;
  /** Number of attempts that count. */
  readonly attempts: number;
  /**
   * Wait before the next attempt, in milliseconds; null: only until its turn; `decision`: until an operator decides.
   */
  readonly delayMs: number | null | 'decision';
  /** How long ago the first attempt failed, in milliseconds; null if none has. */
  readonly failingForMs: number | null;
}

/** A parked message in a listing. */
export interface ParkedRow {
  readonly offset: number;
  readonly key: string | null;
  readonly attempts: number;
  /** Null while an operator has to decide. */
  readonly dueInMs: number | null;
  readonly failingForMs: number | null;
  readonly inFlight: boolean;
  /** How often it has been started alone after a crash. */
  readonly crashes: number;
  readonly fromDeadLetter: boolean;
}

/** A parked message that is about to run. */
export interface BegunMessage {
  readonly record: LaneRecord;
  /** Number of attempts that count: 0 again once an operator has redriven it. */
  readonly attempts: number;
  /** How often it has been started alone after a crash, this time included. */
  readonly crashes: number;
  /** 0 when it is due; null while an operator has to decide. */
  readonly dueInMs: number | null;
}

/** The delay that means, to the statements, that an operator has to decide. */
const DECISION = -1;

/** All parked messages of partitions, by partition id and in order of offset. */
export async function listParkedIn(
  session: SqlSession,
  groupId: number,
  partitionIds: readonly number[],
): Promise<ReadonlyMap<number, readonly ParkedRow[]>> {
  const listed = new Map<number, ParkedRow[]>();
  for (const row of await session.run(listParked, groupId, partitionIds)) {
    const rows = listed.get(row.partitionId);
    if (rows === undefined) listed.set(row.partitionId, [row]);
    else rows.push(row);
  }
  return listed;
}

/** The parked messages of one partition, as rows. */
export class ParkedStore {
  constructor(
    private readonly groupId: number,
    private readonly progress: PartitionProgress,
  ) {}

  get #partitionId(): number {
    return this.progress.ownership.partitionId;
  }

  /** The statement that parks messages. */
  park(messages: readonly MessageToPark[]): BoundStatement {
    return bindStatement(
      parkMessages,
      this.groupId,
      this.#partitionId,
      messages.map(({ record }) => record.offset),
      messages.map(({ record }) => record.bucketSeq),
      messages.map(({ record }) => messageIdOf(record.record)),
      messages.map(({ record }) => record.key),
      messages.map(({ record }) => storeHeaders(record.record.headers)),
      messages.map(({ record }) => record.record.value),
      messages.map(({ record }) => record.record.timestampMs),
      messages.map(({ attempts }) => attempts),
      messages.map(({ delayMs }) => (delayMs === null ? null : delayOf(delayMs))),
      messages.map(({ failingForMs }) => (failingForMs === null ? null : Math.round(failingForMs))),
    );
  }

  /** The statement that records that messages may be started from now on; {@link begun} reads its result. */
  begin(offsets: readonly number[], alone: boolean): BoundStatement {
    return bindStatement(beginParked, this.groupId, this.#partitionId, offsets, alone);
  }

  /** The messages that {@link begin} has read, by offset; removed ones are left out. */
  begun(rows: readonly unknown[] = []): Map<number, BegunMessage> {
    return new Map((rows as readonly BegunRow[]).map((row) => [row.offset, begunMessage(row)]));
  }

  /** The statement that makes a message wait for its next attempt. */
  delay({ record, attempts, delayMs, failingForMs }: MessageToPark): BoundStatement {
    return bindStatement(
      delayParked,
      this.groupId,
      this.#partitionId,
      record.offset,
      attempts,
      delayOf(delayMs ?? 0),
      Math.round(failingForMs ?? 0),
    );
  }

  /** The statement that removes a message. */
  remove(offset: number): BoundStatement {
    return bindStatement(removeParked, this.groupId, this.#partitionId, offset);
  }

  /** The statement that records that nothing of the partition runs any more. */
  rest(): BoundStatement {
    return bindStatement(restParked, this.groupId, this.#partitionId);
  }
}

interface BegunRow {
  readonly offset: number;
  readonly bucketSeq: number;
  readonly key: string | null;
  readonly headers: string;
  readonly payload: Buffer | null;
  readonly timestampMs: number;
  readonly attempts: number;
  readonly crashes: number;
  readonly dueInMs: number | null;
}

function begunMessage({
  offset,
  bucketSeq,
  key,
  headers,
  payload,
  timestampMs,
  ...row
}: BegunRow): BegunMessage {
  const record = {
    offset,
    timestampMs,
    key: key === null ? null : Buffer.from(key, 'utf8'),
    value: payload,
    headers: restoreHeaders(headers),
  };
  const { attempts, crashes, dueInMs } = row;
  return { record: { offset, key, bucketSeq, record }, attempts, crashes, dueInMs };
}

function delayOf(delayMs: number | 'decision'): number {
  return delayMs === 'decision' ? DECISION : Math.ceil(delayMs);
}
