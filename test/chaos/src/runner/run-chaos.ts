import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from '../checkers/all-checkers.js';
import type { Evidence, Violation } from '../checkers/evidence.js';
import { checkProgress, checkRecovery } from '../checkers/progress.js';
import { HistoryWriter } from '../history/history-writer.js';
import { seededRandom } from '../load/random.js';
import type { Mutant } from '../mutants/mutant.js';
import type { ChaosArguments } from './arguments.js';
import { disturb } from './disturb.js';
import { gather } from './gather.js';
import { LogFollower } from './log-follower.js';
import { Observer } from './observer.js';
import { settle } from './settle.js';
import { startSystem, type System } from './system.js';

const PER_SECOND = 120;
/** How long a partition may stand still after a fault's end, in milliseconds. */
export const STALL_MS = 20_000;
/** How long it may take until everything that was published before a fault's end has taken effect, in milliseconds. */
const RECOVERY_MS = 60_000;
/** How long everything that was published may take to be handled when no fault is at work any more, in milliseconds. */
const DRAIN_MS = 120_000;

/** What is run. */
export interface ChaosRun extends Pick<ChaosArguments, 'faults' | 'seconds' | 'seed'> {
  /** A bug to plant. Default: none. */
  readonly mutant?: Mutant;
  /** Folder for the histories, and the processes' output. Default: they are removed. */
  readonly keepIn?: string;
  /** How long the rest may take when the load has ended, in milliseconds. Default 120,000. */
  readonly drainMs?: number;
}

/** What came of a run. */
export interface ChaosResult {
  readonly evidence: Evidence;
  readonly violations: readonly Violation[];
  /** Deliveries that were left when the time was up. */
  readonly stuck: number;
}

/** Runs the load under faults, and looks at what came of it. */
export async function runChaos(
  { faults, seconds, seed, mutant, keepIn, drainMs = DRAIN_MS }: ChaosRun,
  print: (line: string) => void,
): Promise<ChaosResult> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-chaos-'));
  const history = new HistoryWriter(join(folder, 'runner.ndjson'), 'runner');
  const system = await startSystem(
    folder,
    seed,
    PER_SECOND,
    { hasSmallDisk: faults.includes('disk-full'), hasReplica: faults.includes('failover') },
    mutant,
  );
  const log = new LogFollower(system);
  const observer = new Observer(system, history, log);
  try {
    await disturb(system, {
      faults,
      seconds,
      victims: mutant?.victims ?? '',
      random: seededRandom(seed),
      history,
      log,
      print,
    });
    const { problems, stuck } = await settle(system, drainMs, print);
    await observer.stop();
    history.close();
    const evidence = await gather(system, log, folder);
    const violations = [
      ...problems,
      ...check(evidence),
      ...checkProgress(evidence, STALL_MS),
      ...checkRecovery(evidence, RECOVERY_MS),
    ];
    if (keepIn !== undefined) keep(system, folder, keepIn);
    return { evidence, violations, stuck };
  } finally {
    await system.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Keeps what was recorded, so that the cause can be found. */
function keep({ processes, servers }: System, folder: string, keepIn: string): void {
  rmSync(keepIn, { recursive: true, force: true });
  cpSync(folder, keepIn, { recursive: true });
  for (const [index, logFile] of servers.flatMap(({ logFiles }) => logFiles).entries())
    cpSync(logFile, join(keepIn, `postgres-${index + 1}.log`));
  for (const { name, output } of processes) writeFileSync(join(keepIn, `${name}.log`), output);
}
