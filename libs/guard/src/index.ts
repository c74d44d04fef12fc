export {
  type EndedState,
  Barrier,
  type BarrierCall,
  type BarrierName,
  type BarrierOp,
  type BarrierOptions,
  type BarrierOutcome,
  type OngoingState,
} from './barrier/barrier.js';
export { BarrierParticipant } from './barrier/barrier-participant.js';
export type {
  EffectQueryResult,
  EffectCall,
  EffectToUndo,
  ExternalEffect,
  UndoOutcome,
} from './effect/effect.js';
export {
  EffectOperations,
  type EffectDetail,
  type EffectFilter,
  type EffectState,
  type EffectSummary,
} from './effect/effect-operations.js';
export { ExternalEffects, type ExternalEffectsOptions } from './effect/external-effect.js';
export { GuardRetention, type GuardRetentionOptions } from './guard-retention.js';
export { fallbackLeaseStore } from './lease/fallback-lease-store.js';
export {
  MessageIdGuard,
  type MessageIdGuardOptions,
  type OnceOptions,
  type OnceOutcome,
} from './message-id/message-id-guard.js';
export {
  type Lease,
  LeaseGuard,
  type LeaseGuardOptions,
  type OnceName,
  type OnceResult,
} from './lease/lease-guard.js';
export type { LeaseClaim, LeaseStore } from './lease/lease-store.js';
export { PostgresLeaseStore } from './lease/postgres-lease-store.js';
export { RedisLeaseStore, type RedisLeaseStoreOptions } from './lease/redis-lease-store.js';
