/**
 * npm run audit: asks the registry for known vulnerabilities of the packages in package-lock.json. Fails on one of
 * level high or above in shipped packages. A registry without such a list is reported, and is not a failure.
 */
import { capture } from './processes.mjs';
import { npmCli } from './set-up/install.mjs';

const words = ['audit', '--json', '--omit=dev', '--audit-level=high'];
const cli = npmCli();
const { output } = await (cli === undefined
  ? capture('npm', words)
  : capture(process.execPath, [cli, ...words]));
const begin = output.indexOf('{');
const report = begin < 0 ? {} : readReport(output.slice(begin));
const counts = report.metadata?.vulnerabilities;
if (counts === undefined) {
  process.stdout.write(
    `The registry does not support audits, so nothing is known: ${report.message ?? output}\n`,
  );
} else {
  process.stdout.write(`Known vulnerabilities of shipped packages: ${JSON.stringify(counts)}\n`);
  for (const { name, severity, range } of Object.values(report.vulnerabilities ?? {}))
    process.stdout.write(`${severity}: ${name} ${range}\n`);
  if (counts.high + counts.critical > 0) process.exitCode = 1;
}

/** npm writes its warnings after the report, too. */
function readReport(text) {
  try {
    return JSON.parse(text.slice(0, text.lastIndexOf('}') + 1));
  } catch {
    return {};
  }
}
