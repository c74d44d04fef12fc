/** What is encrypted, and where it belongs. A ciphertext must be readable there only: authenticate {@link contextBytes}. */
export interface CipherContext {
  /** `message`, `saga`, `result`, `subject-key` and so on. */
  readonly kind: string;
  /** The names of its place, as a message's topic, id and key. */
  readonly of: readonly (string | null)[];
  /** SHA-256 of the subject that it belongs to, in hex; null for none. */
  readonly subject: string | null;
}

/**
 * Encrypts what Waybill stores. Calls are synchronous, because codecs are; keys that a service has to ask for are fetched
 * before the application starts. See {@link aesCipher} for the one that is built in.
 */
export interface Cipher {
  /** The key that encrypts from now on: 1 to 64 of `A-Z a-z 0-9 _ -`. It stands beside the ciphertext, in plain. */
  readonly keyId: string;
  encrypt(plain: Buffer, context: CipherContext): Uint8Array;
  /** @throws anything where the key is not known, or the ciphertext is not what it encrypted in this context */
  decrypt(ciphertext: Buffer, keyId: string, context: CipherContext): Uint8Array;
  /**
   * A text by which the messages of a key are known as one key, for `encryptKeys`: the same for the same key, whichever
   * key encrypts. Nobody else may be able to work it out.
   */
  pseudonym?(key: string): string;
}

/** The bytes of a context, the same for the same context and for no other: the additional data of an AEAD cipher. */
export function contextBytes({ kind, of, subject }: CipherContext): Buffer {
  return Buffer.from(JSON.stringify(['waybill', kind, of, subject]), 'utf8');
}
