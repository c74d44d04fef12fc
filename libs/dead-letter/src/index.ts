export {
  type DeadLetter,
  deadLetterInsert,
  deadLetterResolved,
  type DeadLetterReason,
} from './dead-letter.js';
export { type DeadLetterFilter, type DeadLetterState } from './dead-letter-filter.js';
export { DeadLetterRetention, type DeadLetterRetentionOptions } from './dead-letter-retention.js';
export {
  type DeadLetterDetail,
  type DeadLetterEdit,
  type DeadLetterGroup,
  DeadLetters,
  type DeadLetterSummary,
} from './dead-letters.js';
export { type OperatorAction, operatorAction, operatorActions } from './operator-actions.js';
export { type RedriveOptions, type RedriveProgress, Redrives, type RedriveSummary } from './redrives.js';
