import { describeError, isWaybillError } from '@waybill/kernel';
import { cleanText, sqlStateOf } from '@waybill/kernel/internal';
import type { Topics } from './engine/topics.js';

/** Why one message can never be appended or scheduled. */
export interface Rejection {
  /** The code of an error, or the database's SQLSTATE. */
  readonly code: string;
  readonly reason: string;
}

const REASON_CHARS = 500;
/** The server refuses a value (22), its row (23, WB006), or its size (54): this says nothing about other messages. */
const OF_ONE_MESSAGE = /^(22|23|54|WB006)/;

/** The reason in an error that concerns one message, as one line. */
export function rejectionOf(error: unknown): Rejection {
  const line = describeError(error).replaceAll(/\p{Cc}+/gu, ' ');
  return { code: codeOf(error), reason: cleanText(line, REASON_CHARS) };
}

/**
 * Whether the database refused the content of a statement, and not the statement: without one of its messages it may
 * succeed. Any other error would affect every message, and none is the cause.
 */
export function blamesMessage(error: unknown): boolean {
  return OF_ONE_MESSAGE.test(sqlStateOf(error) ?? '');
}

/**
 * Reads the topics again, because the cached ones did not match some messages.
 * @param rejected the messages: their topics, and the codes of their rejections
 * @returns whether the topics have changed since, whoever has read them: the caller must then assign partitions again
 */
export async function learnsOfTopics(
  topics: Topics,
  rejected: readonly { readonly topic: string | null; readonly code: string }[],
): Promise<boolean> {
  const names = new Set(rejected.map(({ topic }) => topic ?? ''));
  const known = (): string =>
    JSON.stringify([...names].map((name) => topics.peek(name)?.partitionIds ?? null));
  const before = known();
  await topics.list();
  // Anybody may have read the topics since the message was rejected: then nothing seems to change here.
  const isKnownNow = rejected.some(
    ({ topic, code }) => code === 'TOPIC_UNKNOWN' && topics.peek(topic ?? '') !== undefined,
  );
  return isKnownNow || known() !== before;
}

function codeOf(error: unknown): string {
  const state = sqlStateOf(error);
  // Those of Waybill's own functions have a code that says more.
  if (state !== undefined && !state.startsWith('WB')) return state;
  return isWaybillError(error) ? error.code : (state ?? 'UNREADABLE');
}
