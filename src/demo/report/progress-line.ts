import type { Progress } from './shop-books.js';

const EVERY_MS = 1_000;
const TERMINAL_EVERY_MS = 200;

/** Shows the demo's progress: one line that is rewritten on a terminal, otherwise a line per second. */
export class ProgressLine {
  private shownAt = 0;
  private written = false;

  constructor(private readonly output: NodeJS.WriteStream) {}

  /** Shows `progress`, unless something was shown a moment ago. */
  show(progress: Progress, invoices: number): void {
    const now = Date.now();
    if (now - this.shownAt < (this.output.isTTY ? TERMINAL_EVERY_MS : EVERY_MS)) return;
    this.shownAt = now;
    const { placed, confirmed, rejected, refunded, openReturns, lag } = progress;
    this.write(
      `placed ${placed + refunded + openReturns}/${invoices}  confirmed ${confirmed}  rejected ${rejected}  ` +
        `refunded ${refunded}  lag ${lag}`,
    );
  }

  /** Prints a separate line, above the one that is rewritten. */
  say(text: string): void {
    this.output.write(this.output.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`);
    this.written = false;
  }

  /** Ends the line that is rewritten. */
  finish(): void {
    if (this.written) this.output.write('\n');
    this.written = false;
  }

  private write(text: string): void {
    if (!this.output.isTTY) {
      this.output.write(`${text}\n`);
      return;
    }
    this.output.write(`\r\x1b[K${text}`);
    this.written = true;
  }
}
