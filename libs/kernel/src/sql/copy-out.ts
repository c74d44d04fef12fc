import type pg from 'pg';

/** Called with the data of one row; the bytes are valid only until it returns. */
export type CopyRowHandler = (row: Buffer) => void;

/**
 * `COPY … TO STDOUT (FORMAT binary)`, row by row, as a `Submittable` of the pg driver. PostgreSQL sends one
 * CopyData message per row; the header precedes the first, the trailer follows the last.
 *
 * COPY takes no parameters, so its text is built; it may contain only checked integers (docs/ARCHITECTURE.md).
 */
export class CopyOut implements pg.Submittable {
  callback: (error: Error | null) => void = () => {};
  readonly done: Promise<void>;
  readonly #text: string;
  readonly #onRow: CopyRowHandler;
  #first = true;
  #failure: unknown;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(text: string, onRow: CopyRowHandler) {
    this.#text = text;
    this.#onRow = onRow;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  submit(connection: unknown): void {
    (connection as { query(text: string): void }).query(this.#text);
  }

  handleCopyOutResponse(): void {}

  handleCopyData(message: { chunk: Buffer }): void {
    if (this.#failure !== undefined) return;
    let row = message.chunk;
    if (this.#first) {
      this.#first = false;
      // Signature (11 bytes), flags (4), length of the header's extension (4) and the extension itself.
      row = row.subarray(19 + row.readInt32BE(15));
      if (row.length === 0) return;
    }
    // A field count of -1 is the trailer.
    if (row.length >= 2 && row.readInt16BE(0) === -1) return;
    try {
      this.#onRow(row);
    } catch (error) {
      this.#failure = error;
    }
  }

  handleCommandComplete(): void {}

  handleError(error: unknown): void {
    this.callback(error as Error);
    this.#settle.reject(error);
  }

  handleReadyForQuery(): void {
    this.callback(null);
    if (this.#failure === undefined) this.#settle.resolve();
    else this.#settle.reject(this.#failure);
  }
}
