import { parseJson } from '@waybill/kernel';
import { plainJson } from '@waybill/kernel/internal';

/** Turns payloads into bytes and back. Give one per topic where JSON does not fit, or to encrypt. */
export interface Codec {
  /** Goes with the message as the header `content-type`. */
  readonly contentType: string;
  /** May throw; the message is then refused with PayloadNotSerializableError. */
  encode(payload: unknown): Uint8Array;
  /** May throw; the message then becomes a dead letter with PayloadUnreadableError. */
  decode(bytes: Buffer): unknown;
}

/** JSON, the default. What JSON would change is refused, see {@link plainJson}; so are `__proto__` and `constructor.prototype`. */
export const jsonCodec: Codec = {
  contentType: 'application/json',
  encode(payload) {
    return Buffer.from(JSON.stringify(plainJson(payload)), 'utf8');
  },
  decode: (bytes) => parseJson(bytes.toString('utf8')),
};

/** Bytes as they are. */
export const bytesCodec: Codec = {
  contentType: 'application/octet-stream',
  encode(payload) {
    if (!(payload instanceof Uint8Array)) throw new TypeError('the payload is no Uint8Array');
    return payload;
  },
  decode: (bytes) => bytes,
};
