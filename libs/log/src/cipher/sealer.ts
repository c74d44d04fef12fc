import {
  ConfigurationError,
  ContentUndecipherableError,
  describeError,
  isWaybillError,
  type SqlSession,
  SubjectErasedError,
} from '@waybill/kernel';
import { readSubjectKey } from '../statements.generated.js';
import { decrypt, encrypt } from './aes-cipher.js';
import { type Cipher, type CipherContext, contextBytes } from './cipher.js';
import { type Envelope, isEnvelope, readEnvelope, writeEnvelope } from './envelope.js';
import { type SubjectKey, SubjectKeys, unwrapped } from './subject-keys.js';
import type { LogSubjectKeys } from './wrapped-key.js';

/** The place where something is stored: it is readable only there. */
export type SealedLocation = Pick<CipherContext, 'kind' | 'of'>;

/** The place and the subject of sealed content. */
export interface SealOptions {
  readonly subjectKey?: SubjectKey | null | undefined;
  /** Whether it is a template for many messages. Default false. */
  readonly isTemplate?: boolean;
}

/** Options of a {@link Sealer}. */
export interface SealerOptions {
  /** Default: nothing is encrypted. */
  readonly cipher?: Cipher | undefined;
  /** Whether keys of messages are encrypted as well. Default false. */
  readonly encryptKeys?: boolean | undefined;
  /** Where keys of subjects are looked for that the database of the session does not have. Default: nowhere. */
  readonly logKeys?: Pick<LogSubjectKeys, 'read'> | undefined;
}

/** The prefix of an envelope in a text column; no JSON begins with it. */
const TEXT_MARK = '!sealed ';
const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Seals and opens stored content: all encryption happens here. Without a cipher all content stays in plain
 * text. Content stored before a cipher was configured is read as it is.
 */
export class Sealer {
  /** Encrypts nothing. */
  static readonly none = new Sealer();
  /** Whether keys of messages are encrypted. */
  readonly encryptsKeys: boolean;
  readonly #cipher: Cipher | undefined;
  readonly #subjects: SubjectKeys | undefined;
  readonly #logKeys: Pick<LogSubjectKeys, 'read'> | undefined;

  /** @throws ConfigurationError listing every problem */
  constructor({ cipher, encryptKeys = false, logKeys }: SealerOptions = {}) {
    const problems: string[] = [];
    if (cipher !== undefined && !isCipher(cipher))
      problems.push('cipher must have keyId, encrypt and decrypt, like aesCipher({ … })');
    if (typeof encryptKeys !== 'boolean') problems.push('encryptKeys must be true or false');
    else if (encryptKeys && typeof cipher?.pseudonym !== 'function')
      problems.push('encryptKeys needs a cipher with pseudonyms: give aesCipher a pseudonymKey');
    if (problems.length > 0) throw new ConfigurationError('Nothing can be encrypted', problems);
    this.#cipher = cipher;
    this.encryptsKeys = encryptKeys;
    this.#logKeys = logKeys;
    if (cipher !== undefined) this.#subjects = new SubjectKeys(cipher);
  }

  /** Whether stored content is encrypted. */
  get isActive(): boolean {
    return this.#cipher !== undefined;
  }

  /** The stored form of a message's key. */
  storedKey(key: string): string {
    return this.encryptsKeys ? (this.#cipher?.pseudonym?.(key) ?? key) : key;
  }

  /** All stored forms that messages of a key may have. */
  storedKeys(key: string): string[] {
    const pseudonym = this.#cipher?.pseudonym?.(key);
    return pseudonym === undefined ? [key] : [key, pseudonym];
  }

  /** The key of a subject. @throws ConfigurationError without a cipher */
  subjectKey(subject: string): SubjectKey {
    if (this.#subjects === undefined)
      throw new ConfigurationError('Nothing can be stored for a subject', ['set the option cipher']);
    return this.#subjects.of(subject);
  }

  /** Seals bytes. @throws the error of a custom cipher */
  seal(
    plain: Buffer,
    location: SealedLocation,
    { subjectKey, isTemplate = false }: SealOptions = {},
  ): Buffer {
    const cipher = this.#cipher;
    if (cipher === undefined) return plain;
    if (subjectKey === undefined || subjectKey === null) {
      const ciphertext = Buffer.from(cipher.encrypt(plain, { ...location, subject: null }));
      return writeEnvelope({ keyId: cipher.keyId, subject: undefined, isTemplate, ciphertext });
    }
    const { hash, id, key } = subjectKey;
    const context = { ...location, subject: hash.toString('hex') };
    const ciphertext = encrypt(key, plain, contextBytes(context));
    return writeEnvelope({ keyId: undefined, subject: { hash, keyId: id }, isTemplate, ciphertext });
  }

  /**
   * Opens sealed content; unsealed content is returned unchanged.
   *
   * @param session for the keys of subjects
   * @param place where it is stored, or a function of the envelope that returns it
   * @param what names it for errors
   * @throws ContentUndecipherableError, SubjectErasedError
   */
  async open(
    session: SqlSession,
    stored: Buffer,
    location: SealedLocation | ((envelope: Envelope) => SealedLocation),
    what: string,
  ): Promise<Buffer> {
    if (!isEnvelope(stored)) return stored;
    try {
      const envelope = readEnvelope(stored);
      const { kind, of } = typeof location === 'function' ? location(envelope) : location;
      return await this.#opened(session, envelope, { kind, of }, what);
    } catch (error) {
      if (isWaybillError(error)) throw error;
      // Node's message about a wrong key does not help an operator.
      const isForeign = error instanceof RangeError;
      const problem = isForeign
        ? describeError(error).replace(/^RangeError: /, '')
        : 'it is not genuine here';
      throw new ContentUndecipherableError(what, problem, { cause: error });
    }
  }

  async #opened(
    session: SqlSession,
    { keyId, subject, ciphertext }: Envelope,
    location: SealedLocation,
    what: string,
  ): Promise<Buffer> {
    const cipher = this.#cipher;
    if (subject !== undefined) {
      const wrapped = await this.#wrappedKey(session, subject, what);
      if (wrapped === null) throw new RangeError(`its subject's key is not ${this.#places}`);
      if (cipher === undefined) throw new RangeError('no cipher is configured here');
      const key = unwrapped(cipher, wrapped, subject.keyId, subject.hash);
      return decrypt(key, ciphertext, contextBytes({ ...location, subject: subject.hash.toString('hex') }));
    }
    if (cipher === undefined)
      throw new RangeError(`it was encrypted with key ${keyId}, and no cipher is configured here`);
    return Buffer.from(cipher.decrypt(ciphertext, keyId ?? '', { ...location, subject: null }));
  }

  /** From the session's database; what another service has encrypted, from the log. */
  async #wrappedKey(
    session: SqlSession,
    { keyId, hash }: NonNullable<Envelope['subject']>,
    what: string,
  ): Promise<Buffer | null> {
    const [own] = await session.run(readSubjectKey, keyId, hash);
    const isDecided = own?.erased === true || (own?.wrapped ?? null) !== null;
    const found = isDecided ? own : ((await this.#logKeys?.read(keyId, hash)) ?? own);
    if (found?.erased === true) throw new SubjectErasedError(what);
    return found?.wrapped ?? null;
  }

  get #places(): string {
    return this.#logKeys === undefined ? 'in this database' : "in the service's database, nor in the log";
  }

  /** Like {@link seal}, for a text column. */
  sealText(text: string, location: SealedLocation, options?: SealOptions): string {
    if (!this.isActive) return text;
    return `${TEXT_MARK}${this.seal(Buffer.from(text, 'utf8'), location, options).toString('base64url')}`;
  }

  /** Like {@link open}, for a text column. */
  async openText(
    session: SqlSession,
    stored: string,
    location: SealedLocation,
    what: string,
  ): Promise<string> {
    if (!stored.startsWith(TEXT_MARK)) return stored;
    const sealed = Buffer.from(stored.slice(TEXT_MARK.length), 'base64url');
    return (await this.open(session, sealed, location, what)).toString('utf8');
  }

  /** Like {@link sealText}, for a json column: JSON text in, JSON text out. It includes the hash of its subject. */
  sealJson(json: string, location: SealedLocation, options: SealOptions = {}): string {
    if (!this.isActive) return json;
    const subject = options.subjectKey?.hash.toString('hex');
    return JSON.stringify({ sealed: this.sealText(json, location, options), subject });
  }

  /** Like {@link open}, for the output of {@link sealJson}. */
  async openJson(
    session: SqlSession,
    stored: string,
    location: SealedLocation,
    what: string,
  ): Promise<string> {
    if (!stored.includes(TEXT_MARK)) return stored;
    const { sealed, subject: _, ...rest } = JSON.parse(stored) as Readonly<Record<string, unknown>>;
    const isSealed = typeof sealed === 'string' && sealed.startsWith(TEXT_MARK);
    if (!isSealed || Object.keys(rest).length > 0) return stored;
    return this.openText(session, sealed, location, what);
  }
}

function isCipher(given: unknown): given is Cipher {
  if (typeof given !== 'object' || given === null) return false;
  const { keyId, encrypt: encrypts, decrypt: decrypts } = given as Partial<Cipher>;
  return (
    typeof keyId === 'string' &&
    KEY_ID.test(keyId) &&
    typeof encrypts === 'function' &&
    typeof decrypts === 'function'
  );
}
