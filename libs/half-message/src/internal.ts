/** What only Waybill's own packages import. It may change in any release: applications import `index`. */

export { ANY_TOPIC, type HalfMessageCheckerDependencies } from './half-message-checker.js';
