import { createHash } from 'node:crypto';
import { type BoundStatement, bindStatement, type SqlSession } from '@waybill/kernel';
import { insertDeadLetter, listDeadLetters } from './statements.generated.js';

/**
 * Why a message became a dead letter: its attempts are spent, its handler said that no attempt can succeed, its
 * payload cannot be read, or it took its process down again and again.
 */
export type DeadLetterReason = 'attempts-spent' | 'not-retryable' | 'payload-unreadable' | 'process-crashed';

/** A message to be kept as a dead letter. */
export interface DeadLetter {
  readonly groupId: number;
  readonly partitionId: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly messageId: string | null;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer | null;
  readonly reason: DeadLetterReason;
  readonly error: unknown;
  readonly attempts: number;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
}

const MAX_MESSAGE_CHARS = 2_000;
const MAX_STACK_CHARS = 8_000;

/** The statement that keeps a dead letter; to be run in the transaction that also moves the position on. */
export function deadLetterInsert(letter: DeadLetter): BoundStatement {
  const error = describe(letter.error);
  return bindStatement(
    insertDeadLetter,
    letter.groupId,
    letter.partitionId,
    letter.offset,
    letter.topic,
    letter.partition,
    letter.messageId,
    letter.key,
    JSON.stringify(letter.headers),
    letter.payload,
    letter.reason,
    error.className,
    error.code,
    error.message,
    error.stack,
    fingerprint(error.className, error.stack ?? error.message),
    letter.attempts,
    letter.firstFailedAt,
    letter.lastFailedAt,
  );
}

/** A dead letter as it is listed, without its payload. */
export interface DeadLetterSummary {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly messageId: string | null;
  readonly key: string | null;
  readonly reason: string;
  readonly errorClass: string;
  readonly errorMessage: string;
  readonly fingerprint: string;
  readonly attempts: number;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
}

/** The newest dead letters of a group. */
export async function recentDeadLetters(
  session: SqlSession,
  group: string,
  limit = 100,
): Promise<DeadLetterSummary[]> {
  return session.run(listDeadLetters, group, limit);
}

function describe(error: unknown): {
  className: string;
  code: string | null;
  message: string;
  stack: string | null;
} {
  if (!(error instanceof Error)) {
    const shown = typeof error === 'string' ? error : JSON.stringify(error);
    return {
      className: typeof error,
      code: null,
      message: clean(shown ?? 'undefined', MAX_MESSAGE_CHARS),
      stack: null,
    };
  }
  const code = (error as { code?: unknown }).code;
  return {
    className: error.constructor.name === 'Object' ? error.name : error.constructor.name,
    code: typeof code === 'string' ? code : null,
    message: clean(error.message, MAX_MESSAGE_CHARS),
    stack: error.stack === undefined ? null : clean(error.stack, MAX_STACK_CHARS),
  };
}

/** A text of PostgreSQL cannot hold NUL. */
function clean(text: string, limit: number): string {
  return text.replaceAll('\0', '').slice(0, limit);
}

/** Groups failures of the same kind: the class and the places of the stack, without what varies between two of them. */
function fingerprint(className: string, text: string): string {
  const places = text
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 5)
    .map((line) => line.replaceAll(/:\d+(:\d+)?\)?$/g, ''));
  const basis = places.length > 0 ? places.join('\n') : text.replaceAll(/\d+/g, '#');
  return createHash('sha256').update(`${className}\n${basis}`).digest('hex').slice(0, 16);
}
