import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { invariant, parseJson, type SqlSession } from '@waybill/kernel';
import { addSagaKey, currentSagaKey, readSagaKey } from './statements.generated.js';

/** What the MAC of a command covers; an answer echoes it. */
export interface CommandToSign {
  readonly sagaId: string;
  readonly step: string;
  readonly op: string;
  readonly attempt: number;
}

interface Key {
  readonly id: number;
  readonly secret: Buffer;
}

interface KnownKey extends Key {
  readonly readMs: number;
}

/** Keys are read again after this, in milliseconds: another process may have rotated or revoked one. */
const KNOWN_MS = 60_000;
/** Keys that are remembered at most. */
const MOST_KNOWN = 100;
const SECRET_BYTES = 32;
const MAC = /^(\d{1,15})\.([\w-]{43})$/;

/**
 * The keys of one service's sagas: what it commands carries a MAC (HMAC-SHA256, RFC 2104), which participants echo with
 * their answers, so that only who was sent a command can answer it. The keys are in the service's database; participants
 * need none. A key is rotated by age, and older ones are accepted until `SagaRetention` removes them.
 */
export class SagaKeys {
  readonly #known = new Map<number, KnownKey>();
  #current: KnownKey | undefined;

  /**
   * @param replyTopic names the service, as in the rows of its sagas
   * @param maxAgeMs after this a new key is made
   */
  constructor(
    readonly replyTopic: string,
    readonly maxAgeMs: number,
  ) {}

  /** The MAC of a command, for it and its answers. */
  command(session: SqlSession, command: CommandToSign): Promise<string> {
    return this.#sign(session, this.#commandText(command));
  }

  /** The MAC of an event that is told to a saga by way of the log: that a child has ended, a signal. */
  event(session: SqlSession, sagaId: string, event: unknown): Promise<string> {
    return this.#sign(session, this.#eventText(sagaId, event));
  }

  /** The MAC of an HTTP call, which covers its payload: the saga's own service makes it. */
  call(session: SqlSession, command: CommandToSign, definition: string, payload: unknown): Promise<string> {
    return this.#sign(session, this.#callText(command, definition, payload));
  }

  isCommand(session: SqlSession, mac: string | undefined, command: CommandToSign): Promise<boolean> {
    return this.#verify(session, mac, this.#commandText(command));
  }

  isEvent(session: SqlSession, mac: string | undefined, sagaId: string, event: unknown): Promise<boolean> {
    return this.#verify(session, mac, this.#eventText(sagaId, event));
  }

  isCall(
    session: SqlSession,
    mac: string | undefined,
    command: CommandToSign,
    definition: string,
    payload: unknown,
  ): Promise<boolean> {
    return this.#verify(session, mac, this.#callText(command, definition, payload));
  }

  #commandText({ sagaId, step, op, attempt }: CommandToSign): string {
    return JSON.stringify(['command', sagaId, step, op, attempt, this.replyTopic]);
  }

  #eventText(sagaId: string, event: unknown): string {
    return JSON.stringify(['event', sagaId, this.replyTopic, digestOf(event)]);
  }

  #callText(command: CommandToSign, definition: string, payload: unknown): string {
    return JSON.stringify(['call', this.#commandText(command), definition, digestOf(payload)]);
  }

  async #sign(session: SqlSession, text: string): Promise<string> {
    const { id, secret } = await this.#currentKey(session);
    return `${id}.${macOf(secret, text).toString('base64url')}`;
  }

  async #verify(session: SqlSession, mac: string | undefined, text: string): Promise<boolean> {
    const [, id, given] = MAC.exec(mac ?? '') ?? [];
    if (id === undefined || given === undefined) return false;
    const secret = await this.#secretOf(session, Number(id));
    return secret !== undefined && timingSafeEqual(macOf(secret, text), Buffer.from(given, 'base64url'));
  }

  /**
   * The key to sign with. One that this very transaction has made is not remembered: if that is rolled back, the key is
   * gone, and answers to what is signed with it later would be refused.
   */
  async #currentKey(session: SqlSession): Promise<Key> {
    if (isFresh(this.#current)) return this.#current;
    const [found] = await session.run(currentSagaKey, this.replyTopic, this.maxAgeMs);
    if (found !== undefined) {
      if (found.isCommitted) this.#current = { ...found, readMs: performance.now() };
      return found;
    }
    const secret = randomBytes(SECRET_BYTES);
    const [made] = await session.run(addSagaKey, this.replyTopic, secret);
    invariant(made !== undefined, 'the key of sagas was not kept');
    return { id: made.id, secret };
  }

  async #secretOf(session: SqlSession, id: number): Promise<Buffer | undefined> {
    const known = this.#known.get(id);
    if (isFresh(known)) return known.secret;
    this.#known.delete(id);
    const [row] = await session.run(readSagaKey, id, this.replyTopic);
    if (row === undefined) return undefined;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size >= MOST_KNOWN) this.#known.delete(oldest);
    this.#known.set(id, { id, secret: row.secret, readMs: performance.now() });
    return row.secret;
  }
}

function isFresh(key: KnownKey | undefined): key is KnownKey {
  return key !== undefined && performance.now() - key.readMs < KNOWN_MS;
}

function macOf(secret: Buffer, text: string): Buffer {
  return createHmac('sha256', secret).update(text).digest();
}

/** Of a value as it is read back from JSON, whatever it was before. */
function digestOf(value: unknown): string {
  const json = JSON.stringify(parseJson(JSON.stringify(value ?? null)));
  return createHash('sha256').update(json).digest('base64url');
}
