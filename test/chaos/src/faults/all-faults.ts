import {
  exhausted,
  openTransaction,
  prepared,
  serverCrash,
  statementTimeout,
  tableLocked,
  terminated,
} from './database-faults.js';
import type { Fault } from './fault.js';
import { cut, lateAnswers, silent, unknownCommits } from './network-faults.js';
import { blocked, killed, paused, rebalances, rolling, wrongClock } from './process-faults.js';
import { REDIS_FAULTS } from './redis-faults.js';

/** The faults, by the names that `--fault` takes. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  kill: killed,
  pause: paused,
  block: blocked,
  rolling,
  rebalance: rebalances,
  clock: wrongClock,
  cut,
  silence: silent,
  'late-answers': lateAnswers,
  'unknown-commit': unknownCommits,
  terminate: terminated,
  prepared,
  'statement-timeout': statementTimeout,
  'server-crash': serverCrash,
  'table-lock': tableLocked,
  'open-transaction': openTransaction,
  exhaust: exhausted,
  ...REDIS_FAULTS,
};
