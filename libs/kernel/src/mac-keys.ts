import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { invariant } from './errors/invariant.js';
import { isWaybillError } from './errors/waybill-error.js';
import type { SqlSession } from './sql/sql-session.js';
import type { Statement } from './sql/statement.js';

/** Stores keys of one kind in the service's database. `owner` is the service's name in the rows. */
export interface MacKeyStatements {
  /** The newest key that is not older than `maxAgeMs`. `isCommitted`: it was not made in this transaction. */
  readonly current: Statement<
    [owner: string, maxAgeMs: number],
    { readonly id: number; readonly secret: Buffer; readonly isCommitted: boolean }
  >;
  readonly add: Statement<[owner: string, secret: Buffer], { readonly id: number }>;
  readonly read: Statement<[id: number, owner: string], { readonly secret: Buffer }>;
}

interface Key {
  readonly id: number;
  readonly secret: Buffer;
}

interface KnownKey extends Key {
  readonly readMs: number;
}

/** Keys are read again after this time, in milliseconds: another process may have rotated or revoked one. */
const KNOWN_MS = 60_000;
/** The most keys that are cached. */
const MOST_KNOWN = 100;
const SECRET_BYTES = 32;
const MAC = /^(\d{1,15})\.([\w-]{43})$/;

/**
 * MACs (HMAC-SHA256, RFC 2104) with keys that a service keeps in its database, to recognise what it has given to
 * others. Keys are rotated by age, and older ones are accepted until retention removes them. While the database cannot
 * be reached, cached keys stay valid: no key can be rotated then.
 */
export class MacKeys {
  readonly #known = new Map<number, KnownKey>();
  #current: KnownKey | undefined;

  /** @param maxAgeMs age at which a new key is made */
  constructor(
    private readonly statements: MacKeyStatements,
    readonly owner: string,
    readonly maxAgeMs: number,
  ) {}

  /** The MAC of a text, with the id of its key in front. */
  async sign(session: SqlSession, text: string): Promise<string> {
    const { id, secret } = await this.#currentKey(session);
    return `${id}.${macOf(secret, text).toString('base64url')}`;
  }

  /** Whether the service has made this MAC of this text. */
  async verify(session: SqlSession, mac: string | null | undefined, text: string): Promise<boolean> {
    const [, id, given] = MAC.exec(mac ?? '') ?? [];
    if (id === undefined || given === undefined) return false;
    const secret = await this.#secretOf(session, Number(id));
    return secret !== undefined && timingSafeEqual(macOf(secret, text), Buffer.from(given, 'base64url'));
  }

  /**
   * The key to sign with. A key made in this transaction is not cached: if the transaction is rolled back, the key is
   * gone, and anything signed with it later would be refused.
   */
  async #currentKey(session: SqlSession): Promise<Key> {
    if (isFresh(this.#current)) return this.#current;
    const [found] = await this.#ask(
      session.run(this.statements.current, this.owner, this.maxAgeMs),
      this.#current,
    );
    if (found !== undefined) {
      if (found.isCommitted)
        this.#current = { id: found.id, secret: found.secret, readMs: performance.now() };
      return found;
    }
    const secret = randomBytes(SECRET_BYTES);
    const [made] = await session.run(this.statements.add, this.owner, secret);
    invariant(made !== undefined, `the key of ${this.owner} was not stored`);
    return { id: made.id, secret };
  }

  async #secretOf(session: SqlSession, id: number): Promise<Buffer | undefined> {
    const known = this.#known.get(id);
    if (isFresh(known)) return known.secret;
    const [row] = await this.#ask(session.run(this.statements.read, id, this.owner), known);
    this.#known.delete(id);
    if (row === undefined) return undefined;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size >= MOST_KNOWN) this.#known.delete(oldest);
    this.#known.set(id, { id, secret: row.secret, readMs: performance.now() });
    return row.secret;
  }

  /** The database's value; while it cannot be reached, the last one read. */
  async #ask<Row extends object>(
    asked: Promise<Row[]>,
    known: KnownKey | undefined,
  ): Promise<(Row | (Key & { readonly isCommitted: false }))[]> {
    try {
      return await asked;
    } catch (error) {
      if (known === undefined || !isWaybillError(error) || !error.retryable) throw error;
      return [{ id: known.id, secret: known.secret, isCommitted: false }];
    }
  }
}

function isFresh(key: KnownKey | undefined): key is KnownKey {
  return key !== undefined && performance.now() - key.readMs < KNOWN_MS;
}

function macOf(secret: Buffer, text: string): Buffer {
  return createHmac('sha256', secret).update(text).digest();
}
