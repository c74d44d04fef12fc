import { spawn, type SpawnOptions } from 'node:child_process';
import type { Lifeline } from './lifeline.js';

/** How a program ended. */
export interface ProgramEnd {
  /** Empty when it succeeded; else why not, for example `ended with 1`. */
  readonly failure: string;
  /** What it printed, on both streams. */
  readonly output: string;
}

/** Runs a program that does not outlive this process. With a time limit it is killed at its end. Never throws. */
export async function runToEnd(
  program: string,
  args: readonly string[],
  options: SpawnOptions,
  lifeline: Lifeline,
  timeoutMs?: number,
): Promise<ProgramEnd> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const { pid } = child;
  if (pid !== undefined) lifeline.watch(pid, { signal: 'SIGKILL', graceMs: 0, group: true });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const failure = await new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? '' : `ended with ${code ?? signal}`));
  });
  clearTimeout(timer);
  if (pid !== undefined) lifeline.forget(pid);
  return { failure, output };
}
