export {
  startPostgres,
  type EmbeddedPostgres,
  type StartPostgresOptions,
} from './postgres/embedded-postgres.js';
export { ensurePostgres } from './postgres/ensure-postgres.js';
export type { PostgresVersion } from './postgres/postgres-version.js';
export { choosePort } from './process/choose-port.js';
export type { PostgresServer, RestartMode } from './postgres/postgres-server.js';
export { redisIsAvailable, type RedisServer, startRedis } from './redis-server.js';
export {
  ScriptProcess,
  spawnScript,
  type ScriptExit,
  type SpawnScriptOptions,
  type WaitForLineOptions,
} from './process/spawn-script.js';
export {
  createDatabase,
  testDatabase,
  testServerUrl,
  TEST_SERVER_VARIABLE,
  type TestDatabase,
} from './postgres/test-database.js';
export { TestCluster, type StopMode, type TestClusterOptions } from './postgres/test-cluster.js';
export { TestingError, type TestingErrorCode } from './testing-error.js';
export { waitUntil, type WaitUntilOptions } from './wait-until.js';
