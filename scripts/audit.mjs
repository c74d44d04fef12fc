/**
 * npm run audit: asks the registry for known vulnerabilities of what is in package-lock.json. Fails when there is one of
 * level high or above in what is shipped. A registry that has no such list is named, and is no failure.
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
    `The registry does not answer an audit, so nothing is known: ${report.message ?? output}\n`,
  );
} else {
  process.stdout.write(`Known vulnerabilities of what is shipped: ${JSON.stringify(counts)}\n`);
  for (const { name, severity, range } of Object.values(report.vulnerabilities ?? {}))
    process.stdout.write(`${severity}: ${name} ${range}\n`);
  if (counts.high + counts.critical > 0) process.exitCode = 1;
}

/** npm writes its warnings behind the report, too. */
function readReport(text) {
  try {
    return JSON.parse(text.slice(0, text.lastIndexOf('}') + 1));
  } catch {
    return {};
  }
}
