#!/usr/bin/env node
// A Node that is too old for the other files can read this one: it checks the version before it imports anything.
const OLDEST = [20, 19] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  process.stderr.write(
    `waybill: Node ${process.versions.node} is too old. Install Node ${OLDEST.join('.')} or later.\n`,
  );
  process.exitCode = 2;
} else {
  const { runCommandLine } = await import('./run-command-line.js');
  await runCommandLine();
}
