/** What only Waybill's own packages import. It may change in any release: applications import `index`. */

export { isEmptyFilter } from './dead-letter-filter.js';
export { restoreHeaders, storeHeaders } from './stored-record.js';
export { deadLetterBacklogs } from './statements.generated.js';
