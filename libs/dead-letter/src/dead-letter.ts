import { createHash } from 'node:crypto';
import { bindStatement, type BoundStatement } from '@waybill/kernel';
import { cleanText, describeThrown } from '@waybill/kernel/internal';
import type { LogRecord } from '@waybill/log';
import { insertDeadLetter, resolveRedriven } from './statements.generated.js';
import { storeHeaders } from './stored-record.js';

/**
 * Why a message became a dead letter: its attempts are exhausted, or it failed for too long; its handler reported that
 * no attempt can succeed, or requested it; its payload cannot be read, or does not match its topic's schema; it expired
 * before it could be handled; or it repeatedly crashed its process.
 */
export type DeadLetterReason =
  | 'attempts-spent'
  | 'too-old'
  | 'not-retryable'
  | 'by-handler'
  | 'payload-unreadable'
  | 'payload-invalid'
  | 'expired'
  | 'process-crashed'
  | 'connection-lost';

/** A message to store as a dead letter. */
export interface DeadLetter {
  readonly groupId: number;
  readonly partitionId: number;
  readonly topic: string;
  readonly partition: number;
  /** The handler's name. */
  readonly handler: string;
  readonly bucketSeq: number;
  readonly messageId: string | null;
  readonly key: string | null;
  readonly record: LogRecord;
  readonly reason: DeadLetterReason;
  readonly error: unknown;
  readonly attempts: number;
  /** How long ago the first attempt failed, in milliseconds. */
  readonly failingForMs: number;
}

const MAX_MESSAGE_CHARS = 2_000;

/**
 * The statement that stores a dead letter, to be run in the transaction that also takes the message from its consumer.
 * A message that was redriven and failed again is the same dead letter, open again.
 */
export function deadLetterInsert(letter: DeadLetter): BoundStatement {
  const error = { ...describeThrown(letter.error), message: wordsOf(letter.error) };
  const { record } = letter;
  return bindStatement(
    insertDeadLetter,
    letter.groupId,
    letter.partitionId,
    record.offset,
    letter.bucketSeq,
    letter.topic,
    letter.partition,
    letter.handler,
    letter.messageId,
    letter.key,
    storeHeaders(record.headers),
    record.value,
    record.timestampMs,
    letter.reason,
    error.className,
    error.code,
    error.message,
    error.stack,
    fingerprint(error.className, error.stack ?? error.message),
    letter.attempts,
    Math.round(letter.failingForMs),
  );
}

/** The statement that closes the dead letter of a message that was redriven and has been handled. */
export function deadLetterResolved(groupId: number, partitionId: number, offset: number): BoundStatement {
  return bindStatement(resolveRedriven, groupId, partitionId, offset);
}

/** Nest's validation pipes list the problems in the response of their exception. */
function wordsOf(error: unknown): string {
  const { message } = describeThrown(error);
  let said: unknown;
  try {
    const { getResponse } = error as { readonly getResponse?: () => { readonly message?: unknown } | null };
    if (typeof getResponse === 'function') said = getResponse.call(error)?.message;
  } catch {
    // Then it says no more than its message.
  }
  const words = Array.isArray(said) ? said.filter((word) => typeof word === 'string') : [];
  return words.length === 0 ? message : cleanText(`${message}: ${words.join('; ')}`, MAX_MESSAGE_CHARS);
}

/** Groups failures of the same kind: the class and the stack's locations, without variable parts. */
function fingerprint(className: string, text: string): string {
  const places = text
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 5)
    .map((line) => line.replaceAll(/:\d+(:\d+)?\)?$/g, ''));
  const basis = places.length > 0 ? places.join('\n') : text.replaceAll(/\d+/g, '#');
  return createHash('sha256').update(`${className}\n${basis}`).digest('hex').slice(0, 16);
}
