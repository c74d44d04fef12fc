export {
  type DeadLetter,
  deadLetterInsert,
  type DeadLetterReason,
  type DeadLetterSummary,
  recentDeadLetters,
} from './dead-letter.js';
export {
  resolveRetryPolicy,
  retryDelayMs,
  type RetryPolicy,
  type RetryPolicyOptions,
} from './retry-policy.js';
