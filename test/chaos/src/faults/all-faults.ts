import {
  exhausted,
  failover,
  idleInTransaction,
  serverCrash,
  statementTimeout,
  tableLocked,
  terminated,
} from './database-faults.js';
import { diskFull } from './disk-faults.js';
import type { Fault } from './fault.js';
import {
  blackHole,
  cut,
  cutAtRandomBytes,
  lateAnswers,
  silent,
  slow,
  unknownCommits,
} from './network-faults.js';
import { blocked, killed, paused, rebalances, rolling, wrongClock } from './process-faults.js';
import { REDIS_FAULTS } from './redis-faults.js';
import { retentionPasses, slowGroup } from './retention-faults.js';
import { schemaUpgrade } from './schema-faults.js';
import { openTransaction, prepared, snapshot } from './transaction-faults.js';

/** The faults, by the names that `--fault` takes. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  kill: killed,
  pause: paused,
  block: blocked,
  rolling,
  rebalance: rebalances,
  clock: wrongClock,
  'schema-upgrade': schemaUpgrade,
  cut,
  'cut-bytes': cutAtRandomBytes,
  silence: silent,
  'black-hole': blackHole,
  slow,
  'late-answers': lateAnswers,
  'unknown-commit': unknownCommits,
  terminate: terminated,
  'statement-timeout': statementTimeout,
  'idle-in-transaction': idleInTransaction,
  'server-crash': serverCrash,
  failover,
  'disk-full': diskFull,
  exhaust: exhausted,
  'table-lock': tableLocked,
  'open-transaction': openTransaction,
  prepared,
  snapshot,
  'slow-group': slowGroup,
  retention: retentionPasses,
  ...REDIS_FAULTS,
};
