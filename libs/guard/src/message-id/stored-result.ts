import { ResultNotSerializableError, ResultTooLargeError, type SqlSession } from '@waybill/kernel';
import { plainJson } from '@waybill/kernel/internal';
import { type SealedLocation, Sealer, type SubjectKey } from '@waybill/log';

/** Stands in place of a result that could not be kept; no JSON begins so. */
const TOO_LARGE = '!too-large ';
const NOT_JSON = '!not-json';

/**
 * A result as it is kept: JSON, or null for undefined. What cannot be kept leaves a mark in its place, because the work
 * has been done all the same and must not be done again for it.
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
 * A result as it was kept.
 * @param what whose it is, for the message
 * @throws ResultTooLargeError, ResultNotSerializableError when it could not be kept
 */
export function decodeResult<T>(stored: string | null, what: string, maxBytes: number): T {
  if (stored === NOT_JSON) throw new ResultNotSerializableError(what);
  if (stored?.startsWith(TOO_LARGE) === true)
    throw new ResultTooLargeError(what, Number(stored.slice(TOO_LARGE.length)), maxBytes);
  return (stored === null ? null : JSON.parse(stored)) as T;
}

/** Results of one kind, as they are kept: encrypted, where anything is. */
export class StoredResults {
  constructor(
    private readonly kind: string,
    private readonly sealer: Sealer = Sealer.none,
  ) {}

  /**
   * What {@link encodeResult} made, as it is kept. Marks of what could not be kept stay as they are.
   * @param of names the work that it is of
   */
  seal(encoded: string | null, of: readonly string[], subjectKey?: SubjectKey): string | null {
    if (encoded === null || encoded === NOT_JSON || encoded.startsWith(TOO_LARGE)) return encoded;
    return this.sealer.sealText(encoded, this.#location(of), { subjectKey });
  }

  /** What was kept, for {@link decodeResult}. @throws ContentUndecipherableError, SubjectErasedError */
  async open(session: SqlSession, stored: string | null, of: readonly string[]): Promise<string | null> {
    if (stored === null) return null;
    return this.sealer.openText(session, stored, this.#location(of), `the result of ${of.join(' ')}`);
  }

  /** The key for results that belong to a subject; undefined for none. */
  keyOf(subject: string | null | undefined): SubjectKey | undefined {
    const isKept = subject !== null && subject !== undefined && this.sealer.isActive;
    return isKept ? this.sealer.subjectKey(subject) : undefined;
  }

  #location(of: readonly string[]): SealedLocation {
    return { kind: this.kind, of };
  }
}
