import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { Operation } from './operation.js';

/** Lines between two flushes to disk. */
const FLUSH_EVERY = 100;

/** An operation without what the writer adds. */
export type Unstamped<T extends Operation = Operation> = T extends Operation
  ? Omit<T, 'atMs' | 'process'>
  : never;

/**
 * Appends operations to a file of this process, one JSON object a line, outside of the system under test. A line is handed to
 * the operating system before `write` returns, so that it survives the process's own kill.
 */
export class HistoryWriter {
  readonly #file: number;
  #unflushed = 0;

  constructor(
    path: string,
    private readonly process: string,
    private readonly now: () => number = () => performance.timeOrigin + performance.now(),
  ) {
    this.#file = openSync(path, 'a');
  }

  write(operation: Unstamped): void {
    writeSync(this.#file, `${JSON.stringify({ atMs: this.now(), process: this.process, ...operation })}\n`);
    this.#unflushed += 1;
    if (this.#unflushed < FLUSH_EVERY) return;
    fsyncSync(this.#file);
    this.#unflushed = 0;
  }

  close(): void {
    fsyncSync(this.#file);
    closeSync(this.#file);
  }
}
