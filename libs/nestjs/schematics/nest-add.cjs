'use strict';
const { spawnSync } = require('node:child_process');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { version } = require('../package.json');

/** The command line of `waybill init`: of the application's own command where it has one, else by npx. */
function initCommand(folder) {
  try {
    const command = createRequire(join(folder, 'package.json')).resolve('@waybill/cli/command');
    return [process.execPath, [command, 'init']];
  } catch {
    return ['npx', ['--yes', '--package', `@waybill/cli@${version}`, 'waybill', 'init']];
  }
}

/** What `nest add @waybill/nestjs` runs once the package is installed: `waybill init`, in the folder of the application. */
exports.nestAdd = () => (tree) => {
  const folder = process.cwd();
  const [program, args] = initCommand(folder);
  const { error, status } = spawnSync(program, args, {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32' && program === 'npx',
  });
  if (error !== undefined) throw new Error(`waybill init could not be started: ${error.message}`);
  if (status !== 0) throw new Error('waybill init has left something to do by hand: see above.');
  return tree;
};
