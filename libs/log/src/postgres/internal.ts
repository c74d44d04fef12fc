/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { appendCall } from './append-call.js';
export { GroupMembership } from './group-membership.js';
export {
  adoptTaken,
  askSource,
  busIdentity,
  describeMembers,
  groupBacklogs,
  listGroups,
  oldestBucket,
  oldestTransaction,
  ownership,
  raiseLogEpoch,
  readTaken,
  serviceState,
  unsubscribedTopics,
} from '../statements.generated.js';
