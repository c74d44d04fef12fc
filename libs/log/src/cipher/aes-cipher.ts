import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { ConfigurationError } from '@waybill/kernel';
import { show, unknownName } from '@waybill/kernel/internal';
import { type Cipher, contextBytes } from './cipher.js';

/** A secret of at least 32 bytes; a string is measured in UTF-8. */
export type CipherSecret = string | Uint8Array;

/** Options of {@link aesCipher}. */
export interface AesCipherOptions {
  /** Keys by their ids. Keep an old one while any stored data are encrypted with it. */
  readonly keys: Readonly<Record<string, CipherSecret>>;
  /** The key that encrypts. */
  readonly encryptWith: string;
  /**
   * Derives the pseudonyms that replace message keys with `encryptKeys`. Never change it while messages are in flight:
   * messages of one key would go to another partition.
   */
  readonly pseudonymKey?: CipherSecret;
}

const KNOWN = ['keys', 'encryptWith', 'pseudonymKey'];
const SECRET_BYTES = 32;
const SALT_BYTES = 16;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * AES-256-GCM with named keys. Each ciphertext has its own key, derived from the named one with a random salt
 * (HMAC-SHA256), so that no number of messages exhausts a key.
 *
 * @throws ConfigurationError; its message never contains keys
 */
export function aesCipher(options: AesCipherOptions): Cipher {
  const problems: string[] = [];
  for (const name of Object.keys(options)) if (!KNOWN.includes(name)) problems.push(unknownName(name, KNOWN));
  const { encryptWith, pseudonymKey } = options;
  const secrets = new Map<string, Buffer>();
  for (const [id, secret] of Object.entries(options.keys ?? {})) {
    if (!KEY_ID.test(id))
      problems.push(`key ${show(id)}: its id must be 1 to 64 characters of A-Z a-z 0-9 _ -`);
    else keep(`key ${id}`, secret, problems, (bytes) => secrets.set(id, bytes));
  }
  let pseudonyms: Buffer | undefined;
  if (pseudonymKey !== undefined)
    keep('pseudonymKey', pseudonymKey, problems, (bytes) => (pseudonyms = bytes));
  if (problems.length === 0 && !secrets.has(encryptWith)) problems.push('encryptWith must name one of keys');
  if (problems.length > 0) throw new ConfigurationError('The cipher is not usable', problems);
  return {
    keyId: encryptWith,
    encrypt: (plain, context) => encrypt(secrets.get(encryptWith) as Buffer, plain, contextBytes(context)),
    decrypt: (ciphertext, keyId, context) => {
      const secret = secrets.get(keyId);
      if (secret === undefined) throw new RangeError(`key ${keyId} is not known here`);
      return decrypt(secret, ciphertext, contextBytes(context));
    },
    ...(pseudonyms === undefined ? {} : { pseudonym: pseudonymsBy(pseudonyms) }),
  };
}

/** Encrypts with a secret; the result can be decrypted only with the same secret and the same additional data. */
export function encrypt(secret: Buffer, plain: Buffer, additional: Buffer): Buffer {
  const salt = randomBytes(SALT_BYTES);
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', derived(secret, salt), iv).setAAD(additional);
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([salt, iv, cipher.getAuthTag(), body]);
}

/** @throws RangeError; Node's error if it is not genuine */
export function decrypt(secret: Buffer, ciphertext: Buffer, additional: Buffer): Buffer {
  const body = SALT_BYTES + IV_BYTES + TAG_BYTES;
  if (ciphertext.length < body) throw new RangeError('its ciphertext is too short');
  const key = derived(secret, ciphertext.subarray(0, SALT_BYTES));
  const iv = ciphertext.subarray(SALT_BYTES, SALT_BYTES + IV_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
    .setAAD(additional)
    .setAuthTag(ciphertext.subarray(SALT_BYTES + IV_BYTES, body));
  return Buffer.concat([decipher.update(ciphertext.subarray(body)), decipher.final()]);
}

function derived(secret: Buffer, salt: Buffer): Buffer {
  return createHmac('sha256', secret).update('waybill aes-256-gcm').update(salt).digest();
}

function pseudonymsBy(secret: Buffer): (key: string) => string {
  return (key) => createHmac('sha256', secret).update('waybill pseudonym').update(key).digest('base64url');
}

function keep(name: string, secret: unknown, problems: string[], take: (bytes: Buffer) => void): void {
  const isSecret = typeof secret === 'string' || secret instanceof Uint8Array;
  const bytes = isSecret ? Buffer.from(secret as string) : Buffer.alloc(0);
  if (bytes.length < SECRET_BYTES)
    problems.push(`${name} must be a secret of at least ${SECRET_BYTES} bytes`);
  else take(bytes);
}
