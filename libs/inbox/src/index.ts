export { type InboxEntry, InboxGuard } from './inbox-guard.js';
