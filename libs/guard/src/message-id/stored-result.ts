import { ResultNotSerializableError, ResultTooLargeError, type SqlSession } from '@waybill/kernel';
import { plainJson } from '@waybill/kernel/internal';
import { type SealedLocation, Sealer, type SubjectKey } from '@waybill/log';

/** Replaces a result that could not be stored; no JSON begins with it. */
const TOO_LARGE = '!too-large ';
const NOT_JSON = '!not-json';

/**
 * A result as it is stored: JSON, or null for undefined. A mark replaces a result that cannot be stored, because the
 * work has been done and must not be done again for it.
 */
export function encodeResult(result: unknown, maxBytes: number): string | null {
  let json: string | undefined;
  try {
    json = result === undefined ? undefined : JSON.stringify(plainJson(result, 'result'));
  } catch {
    return NOT_JSON;
  }
  if (json === undefined) return null;
  const bytes = Buffer.byteLength(json);
  return bytes > maxBytes ? `${TOO_LARGE}${bytes}` : json;
}

/**
 * Decodes a stored result.
 * @param what the work, for the message
 * @throws ResultTooLargeError, ResultNotSerializableError if it could not be stored
 */
export function decodeResult<T>(stored: string | null, what: string, maxBytes: number): T {
  if (stored === NOT_JSON) throw new ResultNotSerializableError(what);
  if (stored?.startsWith(TOO_LARGE) === true)
    throw new ResultTooLargeError(what, Number(stored.slice(TOO_LARGE.length)), maxBytes);
  return (stored === null ? null : JSON.parse(stored)) as T;
}

/** Stored results of one kind, encrypted if a cipher is configured. */
export class StoredResults {
  constructor(
    private readonly kind: string,
    private readonly sealer: Sealer = Sealer.none,
  ) {}

  /**
   * The stored form of the output of {@link encodeResult}. Marks of results that could not be stored are unchanged.
   * @param of names the work
   */
  seal(encoded: string | null, of: readonly string[], subjectKey?: SubjectKey): string | null {
    if (encoded === null || encoded === NOT_JSON || encoded.startsWith(TOO_LARGE)) return encoded;
    return this.sealer.sealText(encoded, this.#location(of), { subjectKey });
  }

  /** The stored result, for {@link decodeResult}. @throws ContentUndecipherableError, SubjectErasedError */
  async open(session: SqlSession, stored: string | null, of: readonly string[]): Promise<string | null> {
    if (stored === null) return null;
    return this.sealer.openText(session, stored, this.#location(of), `the result of ${of.join(' ')}`);
  }

  /** The key for results of a subject; undefined for none. */
  keyOf(subject: string | null | undefined): SubjectKey | undefined {
    const isKept = subject !== null && subject !== undefined && this.sealer.isActive;
    return isKept ? this.sealer.subjectKey(subject) : undefined;
  }

  #location(of: readonly string[]): SealedLocation {
    return { kind: this.kind, of };
  }
}
