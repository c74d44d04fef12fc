/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { openRedis, type RedisClient } from './clock/redis-connections.js';
export { DEFAULT_REDIS_PREFIX } from './clock/redis-clock.js';
export { LONGEST_DELAY_MS } from './delay-levels.js';
export { type RecurringEncoder } from './recurring/recurring.js';
export { databaseTime } from './statements.generated.js';
export { TimerUpkeep } from './timer-upkeep.js';
