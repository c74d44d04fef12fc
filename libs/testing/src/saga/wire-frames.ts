/** Requests before a connection begins, by their codes. */
export const SSL_REQUEST = 80_877_103;
export const GSS_REQUEST = 80_877_104;
export const CANCEL_REQUEST = 80_877_102;

/** Splits the bytes of one direction of a PostgreSQL connection into its messages. */
export class WireFrames {
  #bytes: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /**
   * The next complete message; undefined until all of it has arrived. @param typed false before a connection has begun
   */
  next(typed: boolean): Buffer | undefined {
    const head = typed ? 1 : 0;
    if (this.#bytes.length < head + 4) return undefined;
    const length = head + this.#bytes.readInt32BE(head);
    if (this.#bytes.length < length) return undefined;
    const frame = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return frame;
  }
}

/** The type of a message. */
export function typeOf(frame: Buffer): string {
  return String.fromCharCode(frame[0] ?? 0);
}

/** A connection's start message with additional session settings. */
export function withSettings(startup: Buffer, settings: Readonly<Record<string, string>>): Buffer {
  const pairs = new Map<string, string>();
  const texts = startup.subarray(8).toString('utf8').split('\0');
  for (let index = 0; index + 1 < texts.length && texts[index] !== ''; index += 2)
    pairs.set(texts[index] ?? '', texts[index + 1] ?? '');
  const added = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  pairs.set('options', [pairs.get('options') ?? [], added].flat().join(' '));
  const body = Buffer.from(`${[...pairs].flat().join('\0')}\0\0`);
  const head = Buffer.from(startup.subarray(0, 8));
  head.writeInt32BE(8 + body.length);
  return Buffer.concat([head, body]);
}

/** The error of a server that is shutting down. */
export function refusal(severity: 'ERROR' | 'FATAL', message: string): Buffer {
  const fields = Buffer.from(`S${severity}\0V${severity}\0C57P01\0M${message}\0\0`);
  const head = Buffer.alloc(5, 'E');
  head.writeInt32BE(4 + fields.length, 1);
  return Buffer.concat([head, fields]);
}

/** Ready for the next query, in no transaction. */
export const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
