/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { ANY_TOPIC, type HalfMessageCheckerDependencies } from './half-message-checker.js';
export { halfOverdue, halfStats, halfTrouble } from './statements.generated.js';
