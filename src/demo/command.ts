import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ShopError } from '../shop-error.js';

const COMMAND = fileURLToPath(import.meta.resolve('@waybill/cli/command'));

/**
 * Runs the `waybill` command as an operator would, and resolves to the lines that it prints.
 * @throws ShopError DEMO_COMMAND with its output, when it does not exit with 0; the signal's reason when that aborts
 */
export async function runCommand(
  args: readonly string[],
  { database, bus }: { readonly database: string; readonly bus: string },
  signal: AbortSignal,
): Promise<string[]> {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { ...process.env, DATABASE_URL: database, WAYBILL_BUS_URL: bus },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = (): boolean => child.kill();
  signal.addEventListener('abort', kill, { once: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  signal.removeEventListener('abort', kill);
  signal.throwIfAborted();
  if (code === 0) return output.trimEnd().split('\n');
  throw new ShopError('DEMO_COMMAND', `waybill ${args.join(' ')} exited with ${code}:\n${output}`);
}
