import { createHash, randomBytes } from 'node:crypto';
import { bindStatement, type BoundStatement, newId } from '@waybill/kernel';
import { keepSubjectKey } from '../statements.generated.js';
import type { Cipher, CipherContext } from './cipher.js';

/** A data key of a subject. */
export interface SubjectKey {
  readonly id: string;
  readonly hash: Buffer;
  readonly key: Buffer;
  /** The statement that stores it, wrapped, in the transaction of the data encrypted with it. */
  readonly keep: BoundStatement;
}

const KEY_BYTES = 32;
/** The most subjects whose keys a process caches; a subject that is not cached gets a new key. */
const MOST_SUBJECTS = 10_000;

/** A subject's identifier where its name must not appear. */
export function subjectHash(subject: string): Buffer {
  return createHash('sha256').update('waybill subject').update(subject).digest();
}

/** The context in which the key of a subject is wrapped. */
export function wrappingOf(keyId: string, hash: Buffer): CipherContext {
  return { kind: 'subject-key', of: [keyId], subject: hash.toString('hex') };
}

/** The keys that this process encrypts with, one per subject. */
export class SubjectKeys {
  readonly #keys = new Map<string, SubjectKey>();

  constructor(private readonly cipher: Cipher) {}

  of(subject: string): SubjectKey {
    const hash = subjectHash(subject);
    const name = hash.toString('hex');
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const id = newId();
    const key = randomBytes(KEY_BYTES);
    const { keyId } = this.cipher;
    const wrapped = Buffer.concat([
      Buffer.from([keyId.length]),
      Buffer.from(keyId, 'latin1'),
      this.cipher.encrypt(key, wrappingOf(id, hash)),
    ]);
    const made = { id, hash, key, keep: bindStatement(keepSubjectKey, hash, id, wrapped) };
    const [oldest] = this.#keys.keys();
    if (this.#keys.size >= MOST_SUBJECTS && oldest !== undefined) this.#keys.delete(oldest);
    this.#keys.set(name, made);
    return made;
  }
}

/** Unwraps a key. @throws the cipher's error */
export function unwrapped(cipher: Cipher, wrapped: Buffer, keyId: string, hash: Buffer): Buffer {
  const length = wrapped.readUInt8(0);
  const by = wrapped.toString('latin1', 1, 1 + length);
  return Buffer.from(cipher.decrypt(wrapped.subarray(1 + length), by, wrappingOf(keyId, hash)));
}
