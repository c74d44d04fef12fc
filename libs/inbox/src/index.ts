export { Barrier, type BarrierName } from './barrier.js';
export { type InboxEntry, InboxGuard } from './inbox-guard.js';
