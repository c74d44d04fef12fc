import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { MACHINES } from './src/machines/all-machines.js';
import type { Machine } from './src/runner/machine.js';
import { type Outcome, runSchedule } from './src/runner/run-schedule.js';
import { runSimulation } from './src/runner/run-simulation.js';
import { shrink } from './src/runner/shrink.js';
import { Choices } from './src/scheduler/choices.js';

const main = join(import.meta.dirname, 'dist', 'main.js');
const SEEDS = Array.from({ length: 12 }, (_, index) => 900 + index);

describe('the simulator', () => {
  test('finds no broken rule in 10,000 schedules', async () => {
    const args = [main, '--schedules', '10000', '--seed', '20261129'];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as object;
    expect(last).toMatchObject({ broken: [] });
  });

  test.each([...MACHINES])('runs %s the same way for the same seed', async (_name, machine) => {
    for (const seed of SEEDS) {
      const first = await runSchedule(machine, Choices.fromSeed(seed), { traced: true });
      const second = await runSchedule(machine, Choices.fromSeed(seed), { traced: true });
      const replayed = await runSchedule(machine, Choices.replay(first.choices), { traced: true });
      expect(first.trace.length).toBeGreaterThan(5);
      expect(second.trace).toEqual(first.trace);
      expect(replayed.trace).toEqual(first.trace);
    }
  });

  test('shrinks a run that breaks a rule to one that breaks the same rule in fewer steps', async () => {
    const machine = MACHINES.get('relay') as Machine;
    const bug = 'no-relay-lock';
    let longest: Outcome | undefined;
    for (let seed = 1; seed <= 40; seed += 1) {
      const outcome = await runSchedule(machine, Choices.fromSeed(seed), { bug });
      if (outcome.violation !== undefined && outcome.steps > (longest?.steps ?? 0)) longest = outcome;
    }
    const found = longest as Outcome;
    const small = await shrink(machine, found, { bug });
    expect(small.violation?.rule).toBe(found.violation?.rule);
    expect(small.steps).toBeLessThan(found.steps / 2);
    expect(small.choices.length).toBeLessThan(found.choices.length / 2);
    expect(small.trace.at(-1)).toContain('BROKEN');
    expect(small.trace.length).toBeLessThan(60);
  });

  test('prints a broken rule with the command that repeats it, and the small trace', async () => {
    const machine = MACHINES.get('relay') as Machine;
    const lines: string[] = [];
    const print = (line: string): void => void lines.push(line);
    const machines = new Map([['relay', machine]]);
    const bug = 'check-before-lock';
    const { broken } = await runSimulation({ machines, schedules: 500, seed: 1_001, bug, print });
    expect(broken).toEqual(['relay']);
    expect(lines[0]).toContain('broken: relay: nothing is lost');
    const seed = Number(/--machine relay --schedules 1 --seed (\d+)/.exec(lines[1] ?? '')?.[1]);
    const found = await runSchedule(machine, Choices.fromSeed(seed), { bug });
    expect(found.violation?.rule).toBe('nothing is lost');
    expect(lines.join('\n')).toContain('retention empties slot');
  });
});
