import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { CHECKERS } from '../chaos/src/checkers/all-checkers.js';
import { FAULTS } from '../chaos/src/faults/all-faults.js';
import { MUTANTS } from '../chaos/src/mutants/all-mutants.js';
import { SIMULATOR_MUTANTS } from '../chaos/src/mutants/simulator-mutants.js';
import { MACHINES } from '../simulator/src/machines/all-machines.js';

const root = join(import.meta.dirname, '..', '..');
const guarantees = readFileSync(join(root, 'docs', 'GUARANTEES.md'), 'utf8').replaceAll(/\s+/g, ' ');
const paragraphs = [...guarantees.matchAll(/\*\*Checkers\.\*\*(.*?)(?=\*\*|##)/g)].map(
  (found) => found[1] ?? '',
);
const sources = ['chaos', 'simulator'].flatMap((suite) => {
  const folder = join(root, 'test', suite, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
});
const known = new Set([
  ...[CHECKERS, FAULTS, MUTANTS, SIMULATOR_MUTANTS].flatMap((names) => Object.keys(names)),
  ...MACHINES.keys(),
  'checkProgress',
]);

test('each promise about messages and sagas names its checkers', () => {
  expect(paragraphs).toHaveLength(8);
});

test('every checker, fault, machine and planted bug that GUARANTEES.md names exists', () => {
  const names = paragraphs.flatMap((text) => [...text.matchAll(/`([^`]+)`/g)].map((found) => found[1] ?? ''));
  expect(names.length).toBeGreaterThan(60);
  expect(names.filter((name) => !known.has(name) && !name.includes('.ts'))).toEqual([]);
});

test('every rule that GUARANTEES.md quotes is one of a checker, of the runner or of a machine', () => {
  const rules = paragraphs.flatMap((text) => [...text.matchAll(/"([^"]+)"/g)].map((found) => found[1] ?? ''));
  expect(rules.length).toBeGreaterThan(25);
  expect(rules.filter((rule) => !sources.some((source) => source.includes(`'${rule}'`)))).toEqual([]);
});

test('every test that GUARANTEES.md names exists', () => {
  const paths = [...guarantees.matchAll(/`((?:test|libs)\/[^`]+\.spec\.ts)`/g)].map(
    (found) => found[1] ?? '',
  );
  expect(paths.length).toBeGreaterThan(40);
  const exists = (path: string): boolean => {
    const [before = '', after] = basename(path).split('*');
    if (after === undefined) return existsSync(join(root, path));
    return readdirSync(join(root, dirname(path))).some(
      (name) => name.startsWith(before) && name.endsWith(after),
    );
  };
  const missing = paths.filter((path) => !exists(path));
  expect(missing).toEqual([]);
});
