/** Exports for Waybill's own packages only. They may change in any release: applications import `index`. */

export { type LeaseGuardDependencies } from './lease/lease-guard.js';
export { LeaseSeal } from './lease/lease-seal.js';
export { type RedisLeaseClient } from './lease/redis-lease-store.js';
