export { openRedis, type RedisClient, type RedisGiven } from './clock/redis-connections.js';
export { DEFAULT_REDIS_PREFIX, type RedisClockOptions } from './clock/redis-clock.js';
export { TIMER_QUEUE } from './clock/redis-record.js';
export {
  type DeadLetter,
  deadLetterInsert,
  deadLetterResolved,
  type DeadLetterReason,
} from './dead-letter.js';
export { type DeadLetterFilter, type DeadLetterState, isEmptyFilter } from './dead-letter-filter.js';
export { DeadLetterRetention, type DeadLetterRetentionOptions } from './dead-letter-retention.js';
export {
  type DeadLetterDetail,
  type DeadLetterEdit,
  type DeadLetterGroup,
  DeadLetters,
  type DeadLetterSummary,
} from './dead-letters.js';
export { Erasure, type ErasureOptions, type ErasureTarget } from './erasure/erasure.js';
export type { ErasedPart, ErasureReport, Remainder } from './erasure/erasure-report.js';
export { type OperatorAction, operatorAction, operatorActions } from './operator-actions.js';
export { type RedriveOptions, type RedriveProgress, Redrives, type RedriveSummary } from './redrives.js';
export {
  type ErrorMatch,
  type ErrorRuleOptions,
  resolveRetryPolicy,
  retryDelayMs,
  type RetryPolicy,
  type RetryPolicyOptions,
  type RetryRule,
  retryRuleFor,
  ROCKETMQ_RETRY_DELAYS_MS,
} from './retry-policy.js';
export { restoreHeaders, storeHeaders } from './stored-record.js';
export { DELAY_LEVELS_MS, type DelayLevel, LONGEST_DELAY_MS } from './timer/delay-levels.js';
export { type LatenessBucket } from './timer/lateness-histogram.js';
export { type MissedRuns, type Recurrence } from './timer/recurrence.js';
export {
  Recurring,
  type RecurringDefinition,
  type RecurringEncoder,
  type RecurringMessage,
} from './timer/recurring.js';
export { RUN_AT_HEADER } from './timer/recurring-effect.js';
export { armedBy, type TimerCommand, timerStatements } from './timer/timer-commands.js';
export { type DueTimer, type FiringPass, TIMER_KIND, type TimerEffect } from './timer/timer-effect.js';
export {
  type TimerAlarm,
  type TimerMessage,
  type TimerTarget,
  type TimerTime,
} from './timer/timer-message.js';
export {
  TimerService,
  type TimerServiceOptions,
  type TimerServiceParts,
  type TimerServiceStatus,
} from './timer/timer-service.js';
export { type ScheduledMessage, Timers, type TimerStats } from './timer/timers.js';
export {
  type BudgetLimits,
  type BudgetOwner,
  PostgresBudgetStore,
  RedisBudgetStore,
  type RetryBudgetStore,
} from './retry-budget-store.js';
export { databaseTime, deadLetterBacklogs } from './statements.generated.js';
