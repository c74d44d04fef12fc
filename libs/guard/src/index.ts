export {
  type AnsweredState,
  Barrier,
  type BarrierCall,
  type BarrierName,
  type BarrierOp,
  type BarrierOptions,
  type BarrierOutcome,
  type OngoingState,
} from './barrier.js';
export { BarrierParticipant, type BarrierParticipantParts } from './barrier-participant.js';
export type { EffectAnswer, EffectCall, EffectToUndo, ExternalEffect, UndoOutcome } from './effect.js';
export {
  EffectDesk,
  type EffectDeskParts,
  type EffectDetail,
  type EffectFilter,
  type EffectState,
  type EffectSummary,
} from './effect-desk.js';
export {
  ExternalEffects,
  type ExternalEffectsOptions,
  type ExternalEffectsParts,
} from './external-effect.js';
export { GuardRetention, type GuardRetentionOptions } from './guard-retention.js';
export { guardWithout } from './guard-without.js';
export { type InboxEntry, InboxGuard } from './inbox-guard.js';
export { Inbox, type InboxOptions, type InboxParts, type OnceOptions, type OnceOutcome } from './inbox.js';
export {
  type Lease,
  LeaseGuard,
  type LeaseGuardOptions,
  type LeaseGuardParts,
  type OnceName,
  type OnceResult,
} from './lease-guard.js';
export { type LeaseMark, LeaseSeal } from './lease-seal.js';
export type { LeaseClaim, LeaseStore } from './lease-store.js';
export { PostgresLeaseStore } from './postgres-lease-store.js';
export {
  type RedisLeaseClient,
  RedisLeaseStore,
  type RedisLeaseStoreOptions,
  type RedisLeaseStoreParts,
} from './redis-lease-store.js';
