import { execFile } from 'node:child_process';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '..', 'chaos', 'dist', 'main.js');

/** How a run ended. */
export interface ChaosEnd {
  readonly code: number;
  /** All that it printed. */
  readonly output: string;
  /** Its last line. */
  readonly summary: Readonly<Record<string, unknown>>;
}

/** Runs `npm run chaos` with these arguments. */
export function runChaos(args: readonly string[]): Promise<ChaosEnd> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, ...args], { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code !== 'number') return reject(error);
      const output = `${stdout}${stderr}`;
      const last = stdout.trimEnd().split('\n').at(-1) ?? '';
      const summary = last.startsWith('{') ? (JSON.parse(last) as ChaosEnd['summary']) : {};
      resolve({ code, output, summary });
    });
  });
}
