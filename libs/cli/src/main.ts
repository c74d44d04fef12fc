#!/usr/bin/env node
// Only this file is read by a Node that is too old for the others: it says so, and imports nothing before it has looked.
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
