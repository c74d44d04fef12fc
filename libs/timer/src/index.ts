export { openRedis, type RedisClient, type RedisGiven } from './clock/redis-connections.js';
export { DEFAULT_REDIS_PREFIX, type RedisClockOptions } from './clock/redis-clock.js';
export { TIMER_QUEUE } from './clock/redis-record.js';
export { DELAY_LEVELS_MS, type DelayLevel, LONGEST_DELAY_MS } from './delay-levels.js';
export { type LatenessBucket } from './lateness-histogram.js';
export { type MissedRuns, type Recurrence } from './recurring/recurrence.js';
export {
  Recurring,
  type RecurringDefinition,
  type RecurringEncoder,
  type RecurringMessage,
} from './recurring/recurring.js';
export { RUN_AT_HEADER } from './recurring/recurring-effect.js';
export { armedBy, type TimerCommand, timerStatements } from './timer-commands.js';
export { type DueTimer, type FiringPass, TIMER_KIND, type TimerEffect } from './timer-effect.js';
export { type TimerAlarm, type TimerMessage, type TimerTarget, type TimerTime } from './timer-message.js';
export {
  TimerService,
  type TimerServiceOptions,
  type TimerServiceDependencies,
  type TimerServiceStatus,
} from './timer-service.js';
export { type ScheduledMessage, Timers, type TimerStats } from './timers.js';
export { databaseTime } from './statements.generated.js';
