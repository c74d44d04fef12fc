import { describeError, isWaybillError } from '@waybill/kernel';
import { cleanText, sqlStateOf } from '@waybill/kernel/internal';
import type { Topics } from './topics.js';

/** Why one message cannot be appended or scheduled, however often that is tried. */
export interface Rejection {
  /** The code of an error, or the database's SQLSTATE. */
  readonly code: string;
  readonly reason: string;
}

const REASON_CHARS = 500;
/** The server refuses a value (22), a row of it (23), or its size (54): says nothing about other messages. */
const OF_ONE_MESSAGE = /^(22|23|54)/;

/** What an error that concerns one message says about it, in one line. */
export function rejectionOf(error: unknown): Rejection {
  const line = describeError(error).replaceAll(/\p{Cc}+/gu, ' ');
  return { code: codeOf(error), reason: cleanText(line, REASON_CHARS) };
}

/**
 * Whether the database refused what a statement holds, and not the statement: without one of its messages it may go
 * through. Anything else would befall every message, and none is to blame.
 */
export function blamesMessage(error: unknown): boolean {
  return OF_ONE_MESSAGE.test(sqlStateOf(error) ?? '');
}

/**
 * Reads the topics again, because messages could not be placed by what is known of theirs.
 * @returns whether more is known now: anyone who placed them has to do it again
 */
export async function learnsOfTopics(topics: Topics, names: ReadonlySet<string>): Promise<boolean> {
  const known = (): string =>
    JSON.stringify([...names].map((name) => topics.peek(name)?.partitionIds ?? null));
  const before = known();
  await topics.list();
  return known() !== before;
}

function codeOf(error: unknown): string {
  const state = sqlStateOf(error);
  if (state !== undefined) return state;
  return isWaybillError(error) ? error.code : 'UNREADABLE';
}
