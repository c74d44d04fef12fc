/**
 * npm run matrix [-- --postgres 14,16] [--node 20,22] [--suites test/outbox,test/guard]
 *
 * Runs the suites that prove the promises with each version of PostgreSQL, and of Node. Versions that are not installed
 * are fetched by npm, once. The last line on standard output is the result as JSON. Exits with 1 when a suite failed or a
 * version could not be had.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, projectRoot, run } from './processes.mjs';
import { npmCli } from './set-up/install.mjs';

const KNOWN = { postgres: ['14', '15', '16', '17', '18'], node: ['20', '22', '24'] };
const SUITES = [
  'test/outbox',
  'test/delivery',
  'test/half-message',
  'test/guard',
  'test/database',
  'test/saga/sagas.spec.ts',
  'libs/schema/test',
];

/**
 * @param {string[]} args
 * @param {string[]} jest Node's arguments that run Jest
 * @returns {Promise<number>} exit code
 */
export async function matrix(args, jest) {
  const options = read(args);
  if (typeof options === 'string') {
    process.stderr.write(`matrix: ${options}\n`);
    return 2;
  }
  if (process.env.DATABASE_URL) {
    process.stderr.write('matrix: DATABASE_URL names one server; unset it to try several versions\n');
    return 2;
  }
  const results = [];
  for (const node of options.node)
    for (const postgres of options.postgres)
      results.push(await runOne({ node, postgres }, options.suites, jest));
  print(results);
  return results.every(({ ok }) => ok) ? 0 : 1;
}

/** The options, or what is wrong with them. */
function read(args) {
  const options = { postgres: KNOWN.postgres, node: [undefined], suites: SUITES };
  for (let at = 0; at < args.length; at += 2) {
    const name = args[at].replace(/^--/, '');
    if (!Object.hasOwn(options, name))
      return `${args[at]} is not an option; use --postgres, --node or --suites`;
    const values = (args[at + 1] ?? '').split(',').filter((value) => value !== '');
    if (values.length === 0)
      return `--${name} needs a list, for example --${name} ${KNOWN[name] ?? SUITES[0]}`;
    const unknown = values.find((value) => KNOWN[name]?.includes(value) === false);
    if (unknown !== undefined) return `--${name} ${unknown} is not one of ${KNOWN[name].join(', ')}`;
    options[name] = values;
  }
  const missing = options.suites.find((path) => !existsSync(join(projectRoot, path)));
  return missing === undefined ? options : `there is no ${missing}`;
}

async function runOne({ node, postgres }, suites, jest) {
  const name = { postgres, node: node ?? process.versions.node.split('.')[0] };
  process.stderr.write(`matrix: PostgreSQL ${name.postgres}, Node ${name.node}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'waybill-matrix-'));
  const report = join(folder, 'jest.json');
  try {
    const program = node === undefined ? process.execPath : await nodeBinary(node);
    const env = { WAYBILL_POSTGRES: postgres };
    const args = [...jest, '--json', `--outputFile=${report}`, '--silent', ...suites];
    // Standard output is for the result.
    const code = await run(program, args, { env, stdio: ['ignore', 2, 2] });
    if (!existsSync(report)) return { ...name, ok: false, reason: 'the tests did not run; see above' };
    return { ...name, ok: code === 0, ...summary(JSON.parse(readFileSync(report, 'utf8'))) };
  } catch (error) {
    return { ...name, ok: false, reason: error.message };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function summary({ numPassedTests, numFailedTests, numPendingTests, testResults }) {
  const failed = testResults.flatMap(({ name, status, assertionResults }) => {
    const file = name.replace(projectRoot, '');
    const titles = assertionResults.filter((one) => one.status === 'failed').map((one) => one.fullName);
    if (titles.length === 0) return status === 'failed' ? [`${file}: did not run`] : [];
    return titles.map((title) => `${file}: ${title}`);
  });
  return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests, failures: failed };
}

/** The npm package `node` depends on one package for each platform, which holds the program. */
async function nodeBinary(version) {
  const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const folder = join(projectRoot, '.waybill', 'node', version);
  const program = () =>
    join(folder, 'node_modules', platform, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (existsSync(program())) return program();
  const staging = `${folder}.${process.pid}`;
  mkdirSync(staging, { recursive: true });
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'];
  const args = ['install', '--prefix', staging, ...flags, '--loglevel=error', `${platform}@${version}`];
  const cli = npmCli();
  const command = cli === undefined ? ['npm', args] : [process.execPath, [cli, ...args]];
  try {
    const { code, output } = await capture(...command);
    if (code !== 0) throw new Error(`npm could not install Node ${version}: ${output.trim().slice(0, 300)}`);
    renameSync(staging, folder);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return program();
}

function print(results) {
  process.stdout.write('PostgreSQL  Node  passed  failed  skipped\n');
  for (const { postgres, node, passed, failed, skipped, reason, failures = [] } of results) {
    const counts = [passed, failed, skipped].map((count) => String(count ?? '-').padStart(6)).join('  ');
    process.stdout.write(
      `${postgres.padEnd(10)}  ${node.padEnd(4)}  ${counts}${reason ? `  ${reason}` : ''}\n`,
    );
    for (const failure of failures) process.stdout.write(`            ${failure}\n`);
  }
  process.stdout.write(`${JSON.stringify({ ok: results.every(({ ok }) => ok), results })}\n`);
}
