/** One step of the schema's chain. Released migrations never change. */
export interface Migration {
  /** Its number in the chain, from 1. */
  readonly number: number;
  /** Its file name, without `.sql`. */
  readonly name: string;
  /** Whether releases that do not know it must not run with it (first line `--! breaking`). */
  readonly breaking: boolean;
  /** SHA-256 of its file. */
  readonly checksum: string;
  readonly sql: string;
}
