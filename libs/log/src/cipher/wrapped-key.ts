/** A data key of a subject, wrapped by the cipher of the service that made it. */
export interface WrappedKey {
  readonly id: string;
  readonly subjectHash: Buffer;
  readonly wrapped: Buffer;
}

/** What is known of a key in one place. */
export interface FoundKey {
  /** Null if it is not there. */
  readonly wrapped: Buffer | null;
  /** Whether its subject was erased there. */
  readonly erased: boolean;
}

/**
 * The keys of subjects in a log, wrapped: those that its records were encrypted with, so that services with other databases can
 * read them. They come with the records, in the same step. Nothing of it may be cached: once a subject is erased, no process
 * can read what was encrypted for it.
 */
export interface LogSubjectKeys {
  read(keyId: string, subjectHash: Buffer): Promise<FoundKey>;
  /** The number of keys of a subject. */
  count(subjectHash: Buffer): Promise<number>;
  /**
   * Destroys the keys of a subject. From then on the log takes none for it any more: its records are appended without them.
   * May be repeated.
   * @returns the number of keys
   */
  destroy(subjectHash: Buffer): Promise<number>;
}
