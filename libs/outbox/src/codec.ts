import { parseJson } from '@waybill/kernel';
import { plainJson } from '@waybill/kernel/internal';

/** Turns payloads into bytes and back. Give one per topic if JSON does not fit, or to encrypt. */
export interface Codec {
  /** Sent with the message as the header `content-type`. */
  readonly contentType: string;
  /** If it throws, the message is refused with PayloadNotSerializableError. */
  encode(payload: unknown): Uint8Array;
  /** If it throws, the message becomes a dead letter with PayloadUnreadableError. */
  decode(bytes: Buffer): unknown;
}

/**
 * JSON, the default. Values that JSON would change are refused, see {@link plainJson}; so are `__proto__` and
 * `constructor.prototype`.
 */
export const jsonCodec: Codec = {
  contentType: 'application/json',
  encode(payload) {
    return Buffer.from(JSON.stringify(plainJson(payload)), 'utf8');
  },
  decode: (bytes) => parseJson(bytes.toString('utf8')),
};

/** Raw bytes. */
export const bytesCodec: Codec = {
  contentType: 'application/octet-stream',
  encode(payload) {
    if (!(payload instanceof Uint8Array)) throw new TypeError('the payload is not a Uint8Array');
    return payload;
  },
  decode: (bytes) => bytes,
};
