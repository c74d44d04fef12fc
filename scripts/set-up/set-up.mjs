/** Brings a clone, however fresh, to the point where its programs run. Reports its steps on standard error. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot, run } from '../processes.mjs';
import { install, isInstalled } from './install.mjs';
import { withLock } from './lock.mjs';
import { generateClients, staleClients } from './prisma-clients.mjs';

const say = (text) => process.stderr.write(`set-up: ${text}\n`);

/**
 * @param {{ compile: boolean }} options
 * @returns {Promise<number>} exit code of the compiler; 0 when all is ready
 */
export async function setUp({ compile }) {
  return withLock(say, async () => {
    if (!isInstalled()) await install(say);
    const clients = staleClients();
    if (clients.length > 0) {
      say(`generating ${clients.length} Prisma clients`);
      await generateClients(clients);
    }
    return compile ? compileAll() : 0;
  });
}

/** Incremental: a second without changes. */
async function compileAll() {
  if (!existsSync(join(projectRoot, 'libs', 'testing', 'dist'))) say('compiling');
  const compiler = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc');
  // Standard output belongs to the program that runs afterwards.
  return run(process.execPath, [compiler, '-b'], { stdio: ['ignore', 2, 2] });
}
