/** An envelope as it is stored: the required key's name, in plain text, and the ciphertext. */
export interface Envelope {
  /** The id of the cipher's key; undefined if a subject's key is needed. */
  readonly keyId: string | undefined;
  readonly subject: { readonly hash: Buffer; readonly keyId: string } | undefined;
  /** Whether it belongs to a template for many messages, which have their own ids. */
  readonly isTemplate: boolean;
  readonly ciphertext: Buffer;
}

/** No JSON and no text begins with this. */
const MAGIC = Buffer.from('\0WBS\u0001', 'latin1');
const OF_SUBJECT = 1;
const OF_TEMPLATE = 2;
const HASH_BYTES = 32;
const ID_BYTES = 16;

/** Whether bytes are an envelope. */
export function isEnvelope(bytes: Buffer | null): bytes is Buffer {
  return bytes !== null && bytes.length > MAGIC.length && bytes.subarray(0, MAGIC.length).equals(MAGIC);
}

/** The id of the subject's key that an envelope needs; undefined for one that needs none, and for anything else. */
export function subjectKeyIdOf(payload: Buffer | null): string | undefined {
  if (payload === null || payload[0] !== MAGIC[0] || !isEnvelope(payload)) return undefined;
  try {
    return readEnvelope(payload).subject?.keyId;
  } catch {
    // It only begins like one; the reader gets an error.
    return undefined;
  }
}

export function writeEnvelope({ keyId = '', subject, isTemplate, ciphertext }: Envelope): Buffer {
  const flags = (subject === undefined ? 0 : OF_SUBJECT) | (isTemplate ? OF_TEMPLATE : 0);
  const whose =
    subject === undefined
      ? [Buffer.from([keyId.length]), Buffer.from(keyId, 'latin1')]
      : [subject.hash, Buffer.from(subject.keyId.replaceAll('-', ''), 'hex')];
  return Buffer.concat([MAGIC, Buffer.from([flags]), ...whose, ciphertext]);
}

/** @throws RangeError for bytes that begin like an envelope but are not one */
export function readEnvelope(bytes: Buffer): Envelope {
  const flags = bytes.readUInt8(MAGIC.length);
  const at = MAGIC.length + 1;
  if ((flags & ~(OF_SUBJECT | OF_TEMPLATE)) !== 0) throw new RangeError('its format is not known here');
  const isTemplate = (flags & OF_TEMPLATE) !== 0;
  if ((flags & OF_SUBJECT) !== 0) {
    const body = at + HASH_BYTES + ID_BYTES;
    if (bytes.length < body) throw new RangeError('it is truncated');
    const hex = bytes.toString('hex', at + HASH_BYTES, body);
    const keyId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    const subject = { hash: bytes.subarray(at, at + HASH_BYTES), keyId };
    return { keyId: undefined, subject, isTemplate, ciphertext: bytes.subarray(body) };
  }
  const body = at + 1 + bytes.readUInt8(at);
  if (bytes.length < body) throw new RangeError('it is truncated');
  const keyId = bytes.toString('latin1', at + 1, body);
  return { keyId, subject: undefined, isTemplate, ciphertext: bytes.subarray(body) };
}
