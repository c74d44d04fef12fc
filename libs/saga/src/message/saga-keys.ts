import { createHash } from 'node:crypto';
import { parseJson, type SqlSession } from '@waybill/kernel';
import { MacKeys } from '@waybill/kernel/internal';
import { addSagaKey, currentSagaKey, readSagaKey } from '../statements.generated.js';

/** What the MAC of a command covers; a reply echoes it. */
export interface CommandToSign {
  readonly sagaId: string;
  readonly step: string;
  readonly op: string;
  readonly attempt: number;
}

/** What the MAC of a callback covers. */
export interface CallToSign {
  readonly sagaId: string;
  readonly step: string;
  readonly op: string;
  /** Digest of the call's idempotency key: each attempt of a round uses the same. */
  readonly round: number;
}

const STATEMENTS = { current: currentSagaKey, add: addSagaKey, read: readSagaKey };

/**
 * The keys of one service's sagas: its commands carry a MAC (HMAC-SHA256, RFC 2104), which participants echo in
 * their replies, so that only the receiver of a command can reply to it. The keys are in the service's database; participants
 * need none. A key is rotated by age, and older ones are accepted until `SagaRetention` removes them.
 */
export class SagaKeys {
  readonly #keys: MacKeys;

  /**
   * @param replyTopic identifies the service, as in the rows of its sagas
   * @param maxAgeMs after this a new key is made
   */
  constructor(
    readonly replyTopic: string,
    readonly maxAgeMs: number,
  ) {
    this.#keys = new MacKeys(STATEMENTS, replyTopic, maxAgeMs);
  }

  /** The MAC of a command and its replies. */
  command(session: SqlSession, command: CommandToSign): Promise<string> {
    return this.#keys.sign(session, this.#commandText(command));
  }

  /** The MAC of an event that reaches a saga through the log: the end of a child, a signal. */
  event(session: SqlSession, sagaId: string, event: unknown): Promise<string> {
    return this.#keys.sign(session, this.#eventText(sagaId, event));
  }

  /** The MAC of the token of an HTTP call with a later reply. */
  callback(session: SqlSession, call: CallToSign): Promise<string> {
    return this.#keys.sign(session, this.#callbackText(call));
  }

  isCommand(session: SqlSession, mac: string | undefined, command: CommandToSign): Promise<boolean> {
    return this.#keys.verify(session, mac, this.#commandText(command));
  }

  isEvent(session: SqlSession, mac: string | undefined, sagaId: string, event: unknown): Promise<boolean> {
    return this.#keys.verify(session, mac, this.#eventText(sagaId, event));
  }

  isCallback(session: SqlSession, mac: string | undefined, call: CallToSign): Promise<boolean> {
    return this.#keys.verify(session, mac, this.#callbackText(call));
  }

  #commandText({ sagaId, step, op, attempt }: CommandToSign): string {
    return JSON.stringify(['command', sagaId, step, op, attempt, this.replyTopic]);
  }

  #eventText(sagaId: string, event: unknown): string {
    return JSON.stringify(['event', sagaId, this.replyTopic, digestOf(event)]);
  }

  #callbackText({ sagaId, step, op, round }: CallToSign): string {
    return JSON.stringify(['callback', sagaId, step, op, round, this.replyTopic]);
  }
}

/** Digest of a value as it is read back from JSON. */
function digestOf(value: unknown): string {
  const json = JSON.stringify(parseJson(JSON.stringify(value ?? null)));
  return createHash('sha256').update(json).digest('base64url');
}
