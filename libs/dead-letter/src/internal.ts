/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { isEmptyFilter } from './dead-letter-filter.js';
export { restoreHeaders, storeHeaders } from './stored-record.js';
export { deadLetterBacklogs } from './statements.generated.js';
