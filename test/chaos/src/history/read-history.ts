import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Operation } from './operation.js';

/**
 * All operations of a run, by time. The last line of a file may be torn, when its process was killed while it wrote: it is left
 * out. A torn line anywhere else is an error of the recorder.
 */
export function readHistory(folder: string): Operation[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.ndjson'));
  const operations = files.flatMap((name) => linesOf(readFileSync(join(folder, name), 'utf8'), name));
  return operations.toSorted((a, b) => a.atMs - b.atMs);
}

function linesOf(text: string, name: string): Operation[] {
  const lines = text.split('\n');
  const torn = lines.pop();
  const complete = lines.map((line, index): Operation => {
    try {
      return JSON.parse(line) as Operation;
    } catch (error) {
      throw new Error(`line ${index + 1} of ${name} is not JSON`, { cause: error });
    }
  });
  if (torn === undefined || torn === '') return complete;
  try {
    return [...complete, JSON.parse(torn) as Operation];
  } catch {
    return complete;
  }
}
