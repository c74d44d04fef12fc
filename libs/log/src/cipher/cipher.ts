/**
 * The kind of encrypted data and their place. A ciphertext must be readable only there: authenticate
 * {@link contextBytes}.
 */
export interface CipherContext {
  /** E.g. `message`, `saga`, `result`, `subject-key`. */
  readonly kind: string;
  /** The names of its place, e.g. a message's topic, id and key. */
  readonly of: readonly (string | null)[];
  /** SHA-256 of its subject, in hex; null for none. */
  readonly subject: string | null;
}

/**
 * Encrypts what Waybill stores. Calls are synchronous, because codecs are; keys from an external service are fetched
 * before the application starts. {@link aesCipher} is built in.
 */
export interface Cipher {
  /**
   * The key that encrypts from now on: 1 to 64 of `A-Z a-z 0-9 _ -`. It is stored with the ciphertext, in plain text.
   */
  readonly keyId: string;
  encrypt(plain: Buffer, context: CipherContext): Uint8Array;
  /** @throws any error if the key is not known, or the ciphertext was not encrypted in this context */
  decrypt(ciphertext: Buffer, keyId: string, context: CipherContext): Uint8Array;
  /**
   * A pseudonym for a message key, for `encryptKeys`: the same for the same key, whichever
   * cipher key encrypts. It must not be computable without the secret.
   */
  pseudonym?(key: string): string;
}

/** The bytes of a context, unique to it: the additional data of an AEAD cipher. */
export function contextBytes({ kind, of, subject }: CipherContext): Buffer {
  return Buffer.from(JSON.stringify(['waybill', kind, of, subject]), 'utf8');
}
