import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MUTANTS } from './all-mutants.js';
import { judge } from './judge.js';
import { type Mutant, StaleMutantError } from './mutant.js';
import { type CodePlanting, guardPlanting } from './planted-code.js';
import { SIMULATOR_MUTANTS, type SimulatorMutant } from './simulator-mutants.js';

const root = join(import.meta.dirname, '..', '..', '..', '..');
const REGISTER = join(root, 'test', 'chaos', 'dist', 'mutants', 'register.js');
const FILE = 'consumer/dist/lane/lane-window.js';
const BUGS: readonly [string, Mutant | SimulatorMutant][] = Object.entries({
  ...MUTANTS,
  ...SIMULATOR_MUTANTS,
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-planted-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const inWindow = (replace: string): CodePlanting => ({
  at: { file: FILE },
  find: 'return key !== null && this.#busyKeys.has(key);',
  replace,
});

describe('every planted bug', () => {
  const code = BUGS.flatMap(([name, { at, find, replace }]) =>
    'file' in at ? [[name, { at, find, replace }] as const] : [],
  );

  test.each(code)('%s fits the compiled product', (_name, planting) => {
    expect(() => guardPlanting(planting, join(folder, 'reports'))).not.toThrow();
  });

  const sources = ['chaos', 'simulator'].flatMap((suite) => {
    const src = join(root, 'test', suite, 'src');
    return readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('mutants'))
      .map((name) => readFileSync(join(src, name), 'utf8'));
  });

  test.each(BUGS)('%s names rules that are there', (_name, { rules }) => {
    expect(rules.length).toBeGreaterThan(0);
    expect(rules.filter((rule) => !sources.some((source) => source.includes(`'${rule}'`)))).toEqual([]);
  });
});

describe('a planted bug is stale', () => {
  test.each([
    ['is not JavaScript', 'return key !== null && ;'],
    ['uses a name that nothing declares', 'return isBusy(key);'],
    [
      'uses a private member that its class does not have',
      'return [this].some((one) => one.#busy.has(key));',
    ],
    ['uses a member that its class does not have', 'return this.isBusyKey(key);'],
  ])('when its code %s', (_what, replace) => {
    const planting = inWindow(replace);
    expect(() => guardPlanting(planting, join(folder, 'reports'))).toThrow(StaleMutantError);
    expect(() => guardPlanting(planting, join(folder, 'reports'))).toThrow(/does not compile/);
  });

  test('when the text that it replaces is gone', () => {
    const planting = { ...inWindow('return false;'), find: 'return the old way;' };
    expect(() => guardPlanting(planting, join(folder, 'reports'))).toThrow(/plant the bug elsewhere/);
  });

  test('when its code throws by itself', () => {
    expect(runPlanted('new Map().find(key)')).toMatch(
      /^TypeError: .* is not a function in consumer\/dist\/busy\.js\n$/,
    );
  });

  test('when it throws in a function of its own, which others call later', () => {
    expect(runPlanted('new Promise((resolve) => setImmediate(resolve)).then(() => key.old.name)')).toMatch(
      /^TypeError: Cannot read properties/,
    );
  });

  test.each([
    ['an error that it means', "(() => { throw new Error('meant'); })()"],
    ['an error of another file', 'elsewhere()'],
    ['nothing', 'key.length > 3'],
  ])('but not when it throws %s', (_what, expression) => {
    expect(runPlanted(expression)).toBe('');
  });

  /** Runs a file with planted code. @returns what it reports */
  function runPlanted(expression: string): string {
    const [libs, reports] = [join(folder, 'libs'), join(folder, 'reports')];
    const file = 'consumer/dist/busy.js';
    mkdirSync(dirname(join(libs, file)), { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(folder, 'elsewhere.js'), 'export const elsewhere = () => null.length;\n');
    writeFileSync(
      join(libs, file),
      "import { elsewhere } from '../../../elsewhere.js';\nexport async function isBusy(key) {\n  return false;\n}\n",
    );
    // The product handles it, and goes on.
    writeFileSync(
      join(folder, 'main.js'),
      `import { isBusy } from './libs/${file}';\nfor (const key of ['a', 'b']) await isBusy(key).catch(() => {});\n`,
    );
    const planting = guardPlanting(
      { at: { file }, find: 'return false;', replace: `return ${expression};` },
      reports,
      libs,
    );
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', pathToFileURL(REGISTER).href, join(folder, 'main.js')],
      { env: { ...process.env, WAYBILL_CHAOS_PLANTINGS: JSON.stringify([planting]) }, encoding: 'utf8' },
    );
    expect([status, stderr]).toEqual([0, '']);
    return existsSync(reports) ? readFileSync(reports, 'utf8') : '';
  }
});

describe('a bug', () => {
  const bug = { what: 'the second of two is first', rules: ['the order stays', 'the first is first'] };
  const run = { by: 'load under kill', broken: ['the first is first', 'everything is handled'], thrown: [] };

  test('is caught by a rule that it names, and others are told apart', () => {
    expect(judge(bug, run)).toEqual({
      verdict: 'caught',
      why: 'load under kill: the first is first (besides: everything is handled)',
    });
  });

  test('is missed if no rule is broken, or only others', () => {
    expect(judge(bug, { ...run, broken: [] })).toMatchObject({ verdict: 'MISSED' });
    expect(judge(bug, { ...run, broken: ['everything is handled'] })).toEqual({
      verdict: 'MISSED',
      why: 'load under kill broke only rules that it is not meant to break: everything is handled',
    });
  });

  test('is stale if its code throws, whatever rule is broken then', () => {
    expect(judge(bug, { ...run, thrown: ['TypeError: x is not a function in a.js'] })).toEqual({
      verdict: 'STALE',
      why: 'the planted code throws TypeError: x is not a function in a.js: adapt its replacement',
    });
  });
});
