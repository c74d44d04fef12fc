import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { check } from '../checkers/all-checkers.js';
import type { Evidence, Violation } from '../checkers/evidence.js';
import { checkProgress, faultSpans, recoveryTimes } from '../checkers/progress.js';
import { FAULTS } from '../faults/all-faults.js';
import type { FaultTargets } from '../faults/fault.js';
import { HistoryWriter } from '../history/history-writer.js';
import { seededRandom } from '../load/random.js';
import type { Mutant } from '../mutants/mutant.js';
import type { ChaosArguments } from './arguments.js';
import { gather } from './gather.js';
import { Observer } from './observer.js';
import { startSystem, type System } from './system.js';
import { undone } from './undone.js';

const PER_SECOND = 120;
/** Time without a fault after each, in milliseconds, at least. */
const CALM_MS = 1_500;
/** How long the system may stand still after a fault's end, in milliseconds. */
const RECOVERY_MS = 12_000;
/** How long everything that was published may take to be handled when no fault is at work any more, in milliseconds. */
const DRAIN_MS = 90_000;

/** What is run. */
export interface ChaosRun extends Pick<ChaosArguments, 'faults' | 'seconds' | 'seed'> {
  /** A bug to plant. Default: none. */
  readonly mutant?: Mutant;
  /** How long the rest may take when the load has ended, in milliseconds. Default 90,000. */
  readonly drainMs?: number;
}

/** What came of a run. */
export interface ChaosResult {
  readonly evidence: Evidence;
  readonly violations: readonly Violation[];
  /** Recovery after each fault, by its name, in milliseconds. */
  readonly recovery: ReadonlyMap<string, readonly number[]>;
}

/** Runs the load under faults, and looks at what came of it. */
export async function runChaos(
  { faults, seconds, seed, mutant, drainMs = DRAIN_MS }: ChaosRun,
  print: (line: string) => void,
): Promise<ChaosResult> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-chaos-'));
  mkdirSync(folder, { recursive: true });
  const history = new HistoryWriter(join(folder, 'runner.ndjson'), 'runner');
  const system = await startSystem(folder, seed, PER_SECOND, mutant);
  const observer = new Observer(system, history);
  try {
    const from = Date.now();
    await disturb(system, faults, from + seconds * 1_000, seededRandom(seed), history, print);
    const to = Date.now();
    const problems = await settle(system, drainMs, print);
    await observer.stop();
    history.close();
    const evidence = await gather(system, folder);
    const violations = [
      ...problems,
      ...check(evidence),
      ...checkProgress(evidence, { from, to }, RECOVERY_MS),
    ];
    return { evidence, violations, recovery: recoveryByFault(evidence) };
  } finally {
    await system.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Lets one fault after the other work, until the time is up. */
async function disturb(
  { server, database, redis, folder, processes }: System,
  faults: readonly string[],
  until: number,
  random: () => number,
  history: HistoryWriter,
  print: (line: string) => void,
): Promise<void> {
  const wait = (ms: number): Promise<void> => sleep(Math.max(0, Math.min(ms, until - Date.now())));
  const targets: FaultTargets = { server, database, redis, folder, processes, random, wait };
  await wait(CALM_MS);
  for (let turn = 0; Date.now() < until; turn += 1) {
    const name = faults[turn % faults.length];
    if (name === undefined) {
      await wait(1_000);
      continue;
    }
    const fault = FAULTS[name] as (typeof FAULTS)[string];
    const atWork = await fault.begin(targets);
    history.write({ f: 'fault', type: 'invoke', name, detail: atWork.detail });
    print(`${name}: ${atWork.detail}`);
    await wait(fault.durationMs * (0.5 + random()));
    await atWork.heal();
    history.write({ f: 'fault', type: 'ok', name, detail: atWork.detail });
    await wait(CALM_MS + random() * 1_500);
  }
}

/** Stops the producers, and waits until everything is handled; then stops the rest. What does not is a violation. */
async function settle(system: System, drainMs: number, print: (line: string) => void): Promise<Violation[]> {
  const violations: Violation[] = [];
  const stop = async (prefix: string): Promise<void> => {
    for (const one of system.processes.filter(({ name }) => name.startsWith(prefix)))
      await one.stop().catch((error: unknown) => {
        violations.push({ rule: 'a process stops when it is asked to', what: String(error) });
      });
  };
  await stop('producer');
  // These stop producing, and continue what is open.
  for (const one of system.processes) if (/^(halves|sagas)/.test(one.name)) one.signal('SIGHUP');
  const end = Date.now() + drainMs;
  let left = await undone(system);
  while (left > 0 && Date.now() < end) {
    await sleep(200);
    left = await undone(system);
  }
  print(left === 0 ? 'everything is handled' : `${left} deliveries are left`);
  if (left > 0)
    violations.push({
      rule: 'everything is handled in the end',
      what: `${left} deliveries are left ${drainMs} ms after the last fault`,
    });
  await stop('halves');
  await stop('sagas');
  await stop('timers');
  await stop('consumer');
  await stop('relay');
  return violations;
}

function recoveryByFault({ history, ledger }: Evidence): Map<string, number[]> {
  const times = ledger.map(({ atMs }) => atMs);
  const byName = new Map<string, number[]>();
  for (const span of faultSpans(history)) {
    const all = byName.get(span.name) ?? [];
    byName.set(span.name, all.concat(recoveryTimes(times, [span])));
  }
  return byName;
}
