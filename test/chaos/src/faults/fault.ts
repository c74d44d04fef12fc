import type { RedisServer } from '@waybill/testing';
import type { LoadProcess } from '../runner/load-process.js';
import type { LogFollower } from '../runner/log-follower.js';
import type { RunDatabase } from '../runner/run-database.js';
import type { RunServer } from '../runner/run-server.js';

/** What a fault may act on. */
export interface FaultTargets {
  /** The server of the services. */
  readonly server: RunServer;
  /** That, and the bus's where it has its own. */
  readonly servers: readonly RunServer[];
  /** The runner's own connections to the service's database, which pass no proxy. */
  readonly database: RunDatabase;
  /** The bus's; the service's where that is the bus. */
  readonly bus: RunDatabase;
  /** The other service's. */
  readonly local: RunDatabase;
  /** That of the sagas; the service's where they are there. */
  readonly sagas: RunDatabase;
  /** The clock of timers; undefined where there is none. */
  readonly redis: RedisServer | undefined;
  /** Where the run keeps its files. */
  readonly folder: string;
  readonly processes: readonly LoadProcess[];
  /** Has read the log from its start on. */
  readonly log: LogFollower;
  readonly random: () => number;
  /** Waits; ends early when the run is over. */
  readonly wait: (ms: number) => Promise<void>;
}

/** A fault that has begun. */
export interface FaultAtWork {
  /** On what it acts, for the history. */
  readonly detail: string;
  /** Ends it: everything it has done is put right when this resolves. */
  heal(): Promise<void>;
}

/** Which faults a run has. */
export interface FaultsOfRun {
  readonly faults: readonly string[];
  readonly seed: number;
}

/** Something that goes wrong in operation. */
export interface Fault {
  /** How long it works before it is healed, in milliseconds; between half as long and one and a half times as long. */
  readonly durationMs: number;
  /** It works while others come and go. Default: others wait for its end. */
  readonly isBackground?: boolean;
  /** Everything has to go on while it works: it is no excuse for a stall. */
  readonly stopsNothing?: boolean;
  /** Why it cannot be had on this machine, or in this run; undefined if it can. */
  readonly unavailable?: (run: FaultsOfRun) => string | undefined;
  begin(targets: FaultTargets): Promise<FaultAtWork>;
}

/** One of some, by chance. */
export function oneOf<T>(values: readonly T[], random: () => number): T {
  return values[Math.floor(random() * values.length)] as T;
}
