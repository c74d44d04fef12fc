/**
 * The PostgreSQL engine of the log, for the places that construct it and for operators' tools: everything else is given a
 * `LogEngine`.
 */

export { groupLag, type PartitionLag } from './group-lag.js';
export { LogRetention, type LogRetentionOptions } from './log-retention.js';
export { PostgresLogEngine, type PostgresLogEngineOptions } from './postgres-log-engine.js';
