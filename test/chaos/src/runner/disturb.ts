import { setTimeout as sleep } from 'node:timers/promises';
import { FAULTS } from '../faults/all-faults.js';
import type { Fault, FaultAtWork, FaultTargets } from '../faults/fault.js';
import type { HistoryWriter } from '../history/history-writer.js';
import { seededRandom } from '../load/random.js';
import type { LogFollower } from './log-follower.js';
import type { System } from './system.js';

/** Time without a fault after each, in milliseconds, at least; and by how much it may be longer. */
const CALM_MS = 1_500;

/** How a load is disturbed. */
export interface Disturbance {
  /** Names of faults. Each gets its turn; those that work in the background overlap with others. */
  readonly faults: readonly string[];
  readonly seconds: number;
  /** How the names of the processes begin that may be hit. */
  readonly victims: string;
  /** Decides who is hit, and for how long. */
  readonly random: () => number;
  readonly history: HistoryWriter;
  readonly log: LogFollower;
  readonly print: (line: string) => void;
}

/** Lets faults work, until the time is up or one cannot be had; every one is healed when this settles. */
export async function disturb(system: System, disturbance: Disturbance): Promise<void> {
  const { faults, seconds, victims, random, history, log } = disturbance;
  const { server, servers, database, bus, local, sagas, redis, folder } = system;
  const processes = system.processes.filter(({ name }) => name.startsWith(victims));
  const until = Date.now() + seconds * 1_000;
  const over = new AbortController();
  // The pace of faults, which waits for no condition.
  const wait = async (ms: number): Promise<void> => {
    const rest = Math.max(0, Math.min(ms, until - Date.now()));
    await sleep(rest, undefined, { signal: over.signal }).catch(() => {});
  };
  const targets = { server, servers, database, bus, local, sagas, redis, folder, processes, log, wait };
  const background: Promise<void>[] = [];
  try {
    await wait(CALM_MS);
    for (let turn = 0; Date.now() < until; turn += 1) {
      const name = faults[turn % faults.length];
      if (name === undefined) {
        await wait(1_000);
        continue;
      }
      const fault = FAULTS[name] as Fault;
      // Its own randomness: how often a fault draws depends on timing, and the next ones must hit the same targets again.
      const own = seededRandom(Math.floor(random() * 2 ** 32));
      const atWork = await begin(name, fault, { ...targets, random: own }, disturbance);
      const end = wait(fault.durationMs * (0.5 + random())).then(() => heal(name, fault, atWork, history));
      if (fault.isBackground !== true) await end;
      else background.push(end);
      await wait(CALM_MS + random() * CALM_MS);
    }
  } finally {
    over.abort();
    await Promise.all(background);
  }
}

async function begin(
  name: string,
  fault: Fault,
  targets: FaultTargets,
  { history, print }: Disturbance,
): Promise<FaultAtWork> {
  const atWork = await fault.begin(targets);
  history.write({ ...line(name, fault, atWork), type: 'invoke' });
  print(`${name}: ${atWork.detail}`);
  return atWork;
}

async function heal(name: string, fault: Fault, atWork: FaultAtWork, history: HistoryWriter): Promise<void> {
  await atWork.heal();
  history.write({ ...line(name, fault, atWork), type: 'ok' });
}

function line(
  name: string,
  { stopsNothing = false }: Fault,
  { detail }: FaultAtWork,
): { f: 'fault'; name: string; stopsNothing: boolean; detail: string } {
  return { f: 'fault', name, stopsNothing, detail };
}
