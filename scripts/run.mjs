/**
 * node scripts/run.mjs demo|test|test:bare|matrix|bench|chaos|simulate|build|verify [-- arguments]
 *
 * The entry point to everything that runs in this repository. Works on a fresh clone with nothing but Node: what is
 * missing is set up first. Exits with the code of the program that it ran.
 */
import { join } from 'node:path';
import { onBareMachine } from './bare-machine.mjs';
import { matrix } from './matrix.mjs';
import { runScript } from './npm-script.mjs';
import { endLifeline, Interrupted, projectRoot, run, takeSignals } from './processes.mjs';
import { npmCacheSettings } from './set-up/npm-cache.mjs';
import { setUp } from './set-up/set-up.mjs';
import { verify } from './verify.mjs';

const OLDEST_NODE = [20, 19];

const commands = {
  build: async () => 0,
  demo: (args) => runNode([join(projectRoot, 'dist', 'demo', 'main.js'), ...args]),
  bench: (args) => runNode([join(projectRoot, 'bench', 'dist', 'main.js'), ...args]),
  chaos: (args) => runNode([join(projectRoot, 'test', 'chaos', 'dist', 'main.js'), ...args]),
  simulate: (args) => runNode([join(projectRoot, 'test', 'simulator', 'dist', 'main.js'), ...args]),
  test: (args) => runNode([...jest(), ...args]),
  'test:bare': (args) => onBareMachine((env) => runScript('test', args, env)),
  matrix: (args) => matrix(args, jest()),
  verify,
};

function runNode(args) {
  return run(process.execPath, args);
}

/** WAYBILL_JEST_JSON names a file for Jest's results as JSON. */
function jest() {
  const results = process.env.WAYBILL_JEST_JSON;
  return [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(projectRoot, 'node_modules', 'jest', 'bin', 'jest.js'),
    ...(results === undefined ? [] : ['--json', `--outputFile=${results}`]),
  ];
}

async function main([name = '', ...rest]) {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    process.stderr.write(`usage: node scripts/run.mjs ${Object.keys(commands).join('|')} [-- arguments]\n`);
    return 2;
  }
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    process.stderr.write(
      `Node ${process.versions.node} is too old. Install Node ${OLDEST_NODE.join('.')} or later.\n`,
    );
    return 2;
  }
  takeSignals();
  Object.assign(process.env, npmCacheSettings());
  // The checks compile themselves, and report that as one of their steps.
  const failed = await setUp({ compile: command !== verify });
  return failed || command(rest[0] === '--' ? rest.slice(1) : rest);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = error instanceof Interrupted ? error.exitCode : 1;
  if (!(error instanceof Interrupted)) process.stderr.write(`set-up: ${error.message}\n`);
}
await endLifeline();
