/**
 * npm run matrix [-- --postgres 14,16] [--node 20,22] [--bus same,database,cluster] [--bus-postgres 14,18]
 *                [--pooler direct,pgbouncer] [--suites test/outbox,test/guard]
 *
 * Runs the suites that prove the promises with each combination of: the version of PostgreSQL; that of Node; where the bus
 * is (in the service's database, in another one of the server, in another cluster, which may be of another version); and
 * how service and bus are reached. pg and Prisma are no option: test/outbox, test/guard and test/orm try both in every run.
 * Versions that are not installed are fetched by npm, once. The last line on standard output is the result as JSON. Exits
 * with 1 when a suite failed or a version could not be had.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, projectRoot, run } from './processes.mjs';
import { npmCli } from './set-up/install.mjs';

const POSTGRES = ['14', '15', '16', '17', '18'];
const KNOWN = {
  postgres: POSTGRES,
  node: ['20', '22', '24'],
  bus: ['same', 'database', 'cluster'],
  'bus-postgres': POSTGRES,
  pooler: ['direct', 'pgbouncer'],
};
const SUITES = [
  'test/outbox',
  'test/delivery',
  'test/half-message',
  'test/guard',
  'test/database',
  'test/saga/sagas.spec.ts',
  'test/timer',
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
  for (const combination of combinationsOf(options))
    results.push(await runOne(combination, options.suites, jest));
  print(results);
  return results.every(({ ok }) => ok) ? 0 : 1;
}

/** The options, or what is wrong with them. */
function read(args) {
  const options = {
    postgres: POSTGRES,
    node: [undefined],
    bus: ['same'],
    'bus-postgres': [undefined],
    pooler: ['direct'],
    suites: SUITES,
  };
  for (let at = 0; at < args.length; at += 2) {
    const name = args[at].replace(/^--/, '');
    if (!Object.hasOwn(options, name))
      return `${args[at]} is not an option; use --${Object.keys(options).join(', --')}`;
    const values = (args[at + 1] ?? '').split(',').filter((value) => value !== '');
    if (values.length === 0)
      return `--${name} needs a list, for example --${name} ${KNOWN[name] ?? SUITES[0]}`;
    const unknown = values.find((value) => KNOWN[name]?.includes(value) === false);
    if (unknown !== undefined) return `--${name} ${unknown} is not one of ${KNOWN[name].join(', ')}`;
    options[name] = values;
  }
  if (options['bus-postgres'][0] !== undefined && !options.bus.includes('cluster'))
    return '--bus-postgres needs --bus cluster: elsewhere the bus is on the server of the services';
  const missing = options.suites.find((path) => !existsSync(join(projectRoot, path)));
  return missing === undefined ? options : `there is no ${missing}`;
}

/** All combinations; a version of the bus is one only of a bus that has its own cluster. */
function combinationsOf(options) {
  let all = [{}];
  for (const name of ['node', 'postgres', 'bus', 'bus-postgres', 'pooler'])
    all = all.flatMap((one) => {
      const values = name === 'bus-postgres' && one.bus !== 'cluster' ? [undefined] : options[name];
      return values.map((value) => ({ ...one, [name]: value }));
    });
  return all;
}

async function runOne({ node, postgres, bus, 'bus-postgres': ofBus = postgres, pooler }, suites, jest) {
  const name = {
    postgres,
    node: node ?? process.versions.node.split('.')[0],
    bus: bus === 'cluster' ? `cluster of ${ofBus}` : bus,
    pooler,
  };
  process.stderr.write(`matrix: ${describe(name)}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'waybill-matrix-'));
  const report = join(folder, 'jest.json');
  try {
    const program = node === undefined ? process.execPath : await nodeBinary(node);
    const env = {
      WAYBILL_POSTGRES: postgres,
      WAYBILL_TEST_BUS: bus,
      WAYBILL_TEST_BUS_POSTGRES: bus === 'cluster' ? ofBus : '',
      WAYBILL_TEST_POOLER: pooler,
    };
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

function describe({ postgres, node, bus, pooler }) {
  return `PostgreSQL ${postgres}, Node ${node}, bus ${bus}, ${pooler}`;
}

function print(results) {
  const row = (cells) => process.stdout.write(`${cells.join('  ').trimEnd()}\n`);
  const wide = (...texts) => texts.map((text, at) => text.padEnd([10, 4, 13, 9][at]));
  row([...wide('PostgreSQL', 'Node', 'Bus', 'Reached'), 'passed', 'failed', 'skipped']);
  for (const result of results) {
    const { postgres, node, bus, pooler, passed, failed, skipped, reason = '', failures = [] } = result;
    const counts = [passed, failed, skipped].map((count) => String(count ?? '-').padStart(6));
    row([...wide(postgres, node, bus, pooler), ...counts, reason]);
    for (const failure of failures) row([' '.repeat(10), failure]);
  }
  process.stdout.write(`${JSON.stringify({ ok: results.every(({ ok }) => ok), results })}\n`);
}
