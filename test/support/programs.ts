import { fileURLToPath } from 'node:url';
import { type ScriptProcess, spawnScript } from '@waybill/testing';
import { PREPARED_STATEMENTS } from './places.js';

/**
 * Starts one of test/programs in its own process, with its settings and `preparedStatements` as JSON, and waits until it
 * reports that it is ready.
 */
export async function startProgram(
  name: string,
  settings: Readonly<Record<string, unknown>>,
): Promise<ScriptProcess> {
  const path = fileURLToPath(new URL(`../programs/${name}.mjs`, import.meta.url));
  const script = spawnScript(path, {
    args: [JSON.stringify({ preparedStatements: PREPARED_STATEMENTS, ...settings })],
  });
  await script.waitForLine(/^ready/, { timeoutMs: 20_000 });
  return script;
}

/** Asks a program to stop, as an operator would, and waits until it has. */
export async function stopProgram(script: ScriptProcess): Promise<void> {
  script.kill('SIGTERM');
  await script.exited;
}
