import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  timingSafeEqual,
  verify as verifyBytes,
} from 'node:crypto';
import { ConfigurationError, describeError, SignatureInvalidError } from '@waybill/kernel';
import { dictionary } from '@waybill/kernel/internal';
import { type LogRecord } from '@waybill/log';
import {
  CAUSE_ID_HEADER,
  EXPIRES_AT_HEADER,
  MESSAGE_ID_HEADER,
  SIGNATURE_HEADER,
} from '@waybill/log/internal';
import { RUN_AT_HEADER } from '@waybill/timer';

/**
 * A key for signing messages: a secret shared by all signers and verifiers (HMAC-SHA256, at least 32 bytes; a string
 * is measured in UTF-8), or an Ed25519 key pair in PEM, of which services that only verify have the public key.
 */
export type SigningKey =
  | string
  | Uint8Array
  | {
      readonly secret?: string | Uint8Array;
      readonly publicKey?: string;
      readonly privateKey?: string;
      /** The topics whose messages it may sign. Default: all. */
      readonly topics?: readonly string[];
    };

/** Signed messages: this service signs what it publishes, and verifies each message before its handler runs. */
export interface SigningOptions {
  /** Keys by their id, which is part of every signature: keep old ones until their messages are handled. */
  readonly keys: Readonly<Record<string, SigningKey>>;
  /** The id of the key that this service signs with. Default: it signs nothing. */
  readonly signWith?: string;
  /** Topics whose unsigned messages are handled as well: those published in SQL. Default: none. */
  readonly unsigned?: readonly string[];
}

/** The content that a signature covers. */
interface SignedContent {
  readonly topic: string;
  readonly key: string | null;
  readonly id: string;
  readonly headers: Readonly<Record<string, string>> | null;
  readonly control: Readonly<Record<string, string>> | null;
  readonly payload: Buffer | null;
}

interface Signer {
  readonly topics: ReadonlySet<string> | undefined;
  readonly sign: ((bytes: Buffer) => Buffer) | undefined;
  readonly verify: (bytes: Buffer, signature: Buffer) => boolean;
}

const SECRET_BYTES = 32;
const SIGNATURE = /^v1(r?)\.([A-Za-z0-9_-]{1,64})\.([\w-]{20,200})$/;
/** Headers added after signing: each run of a recurring message has its own. */
const OF_RUNS: ReadonlySet<string> = new Set([RUN_AT_HEADER, 'ce_id', 'ce_time']);
const ON_THE_WAY: ReadonlySet<string> = new Set([
  MESSAGE_ID_HEADER,
  EXPIRES_AT_HEADER,
  CAUSE_ID_HEADER,
  SIGNATURE_HEADER,
]);

/**
 * Signs and verifies messages: topic, key, id, headers and payload. The signature of a recurring message covers its
 * definition; the id and the time of each run are not covered, so a writer to the log could repeat a run.
 */
export class MessageSignatures {
  readonly #signers = new Map<string, Signer>();
  readonly #signWith: string | undefined;
  readonly #unsigned: ReadonlySet<string>;

  /** @throws ConfigurationError; its message never contains keys */
  constructor({ keys, signWith, unsigned = [], ...unknown }: SigningOptions) {
    const problems = Object.keys(unknown).map((name) => `signing has no option ${name}`);
    for (const [id, key] of Object.entries(keys ?? {})) {
      try {
        if (!/^[A-Za-z0-9_-]{1,64}$/.test(id))
          throw new TypeError('its id must be 1 to 64 characters of A-Z a-z 0-9 _ -');
        this.#signers.set(id, signerOf(key));
      } catch (error) {
        problems.push(`key ${JSON.stringify(id)}: ${describeError(error)}`);
      }
    }
    if (this.#signers.size === 0 && problems.length === 0)
      problems.push('keys must contain at least one key');
    if (signWith !== undefined && problems.length === 0 && this.#signers.get(signWith)?.sign === undefined)
      problems.push('signWith must name a key with a secret or a private key');
    if (problems.length > 0) throw new ConfigurationError('Messages cannot be signed', problems);
    this.#signWith = signWith;
    this.#unsigned = new Set(unsigned);
  }

  /** The signature of a message, for the header `waybill-signature`; null if this service does not sign. */
  sign(content: SignedContent, isTemplate = false): string | null {
    const id = this.#signWith;
    const sign = id === undefined ? undefined : this.#signers.get(id)?.sign;
    if (sign === undefined) return null;
    return `v1${isTemplate ? 'r' : ''}.${id}.${sign(bytesOf(content, isTemplate)).toString('base64url')}`;
  }

  /**
   * Checks that a record was signed with a key that this service knows.
   * @param location of the record, for the error
   * @throws SignatureInvalidError
   */
  verify(topic: string, record: LogRecord, location: string): void {
    const given = textOf(record, SIGNATURE_HEADER);
    if (given === undefined && this.#unsigned.has(topic)) return;
    const [, run, keyId, signature] = SIGNATURE.exec(given ?? '') ?? [];
    if (keyId === undefined || signature === undefined)
      throw new SignatureInvalidError(
        location,
        given === undefined ? 'it is not signed' : 'its signature is malformed',
      );
    const signer = this.#signers.get(keyId);
    if (signer === undefined) throw new SignatureInvalidError(location, `key ${keyId} is not known here`);
    if (signer.topics?.has(topic) === false)
      throw new SignatureInvalidError(location, `key ${keyId} does not sign for topic ${topic}`);
    const isTemplate = run === 'r';
    if (!signer.verify(bytesOf(contentOf(topic, record), isTemplate), Buffer.from(signature, 'base64url')))
      throw new SignatureInvalidError(location, `it differs from what key ${keyId} has signed`);
  }
}

function signerOf(given: SigningKey): Signer {
  const key = typeof given === 'string' || given instanceof Uint8Array ? { secret: given } : given;
  const { secret, publicKey, privateKey, topics, ...unknown } = key;
  const [other] = Object.keys(unknown);
  if (other !== undefined) throw new TypeError(`it has no option ${other}`);
  const allowed = topics === undefined ? undefined : new Set(topics);
  if (secret !== undefined) {
    const bytes = Buffer.from(secret as string);
    if (bytes.length < SECRET_BYTES)
      throw new TypeError(`its secret must have at least ${SECRET_BYTES} bytes`);
    const sign = (content: Buffer): Buffer => createHmac('sha256', bytes).update(content).digest();
    const verify = (content: Buffer, signature: Buffer): boolean =>
      signature.length === 32 && timingSafeEqual(sign(content), signature);
    return { topics: allowed, sign, verify };
  }
  if (publicKey === undefined && privateKey === undefined)
    throw new TypeError('it must have a secret, or a publicKey or privateKey in PEM');
  const secretPart = privateKey === undefined ? undefined : ed25519(createPrivateKey(privateKey));
  const publicPart = ed25519(createPublicKey(publicKey ?? (privateKey as string)));
  return {
    topics: allowed,
    sign: secretPart && ((content) => signBytes(null, content, secretPart)),
    verify: (content, signature) => verifyBytes(null, content, publicPart, signature),
  };
}

function ed25519(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('it must be an Ed25519 key');
  return key;
}

/** The same bytes for the same content, in any order of headers. */
function bytesOf({ topic, key, id, headers, control, payload }: SignedContent, isTemplate: boolean): Buffer {
  const all = Object.entries({ ...headers, ...control })
    .filter(([name]) => !ON_THE_WAY.has(name) && !(isTemplate && OF_RUNS.has(name)))
    .toSorted(([one], [other]) => (one < other ? -1 : 1));
  // A row returns an id in lower case.
  const named = isTemplate ? null : id.toLowerCase();
  const head = JSON.stringify(['waybill-v1', topic, key, named, all, payload === null]);
  return Buffer.concat([Buffer.from(`${head}\n`), payload ?? Buffer.alloc(0)]);
}

function contentOf(topic: string, record: LogRecord): SignedContent {
  const headers = dictionary<string>();
  for (const { key, value } of record.headers) if (value !== null) headers[key] = value.toString('utf8');
  const key = record.key === null ? null : record.key.toString('utf8');
  // Like consumers: of two, the first counts.
  const id = record.headers.find((header) => header.key === MESSAGE_ID_HEADER)?.value?.toString('utf8') ?? '';
  return { topic, key, id, headers, control: null, payload: record.value };
}

function textOf(record: LogRecord, name: string): string | undefined {
  return record.headers.findLast(({ key }) => key === name)?.value?.toString('utf8');
}
