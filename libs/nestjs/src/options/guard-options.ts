import type {
  BarrierOptions,
  ExternalEffectsOptions,
  GuardRetentionOptions,
  LeaseGuardOptions,
  MessageIdGuardOptions,
} from '@waybill/guard';
import { oneOf } from '@waybill/kernel';

/** Names and defaults of the guard options of the module itself. */
export const GUARD_SPECS = {
  /**
   * What happens to leases while Redis is unavailable: guarded work is refused and retried, or PostgreSQL stores all
   * leases in addition to Redis and continues alone. Without the module's option `redis`, leases are always in
   * PostgreSQL.
   */
  withoutRedis: oneOf(['refuse', 'postgres'], 'refuse'),
};

/** Options of an instance's guards. The inherited ones configure the {@link MessageIdGuard}. */
export type ModuleGuardOptions = MessageIdGuardOptions & {
  readonly withoutRedis?: 'refuse' | 'postgres';
  /** For handlers with `guard: 'lease'` and of the injected {@link LeaseGuard}. Default window: the message-id guard's. */
  readonly lease?: LeaseGuardOptions;
  /** For requests with an `Idempotency-Key`. Default window: a day; a duplicate does not wait. */
  readonly requests?: LeaseGuardOptions;
  /** For the injected {@link ExternalEffects}. */
  readonly effects?: ExternalEffectsOptions;
  /** For the injected {@link BarrierParticipant}. */
  readonly barrier?: BarrierOptions;
  readonly retention?: GuardRetentionOptions;
};
