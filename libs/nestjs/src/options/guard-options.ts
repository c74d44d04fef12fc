import type {
  BarrierOptions,
  ExternalEffectsOptions,
  GuardRetentionOptions,
  LeaseGuardOptions,
  MessageIdGuardOptions,
} from '@waybill/guard';
import { oneOf } from '@waybill/kernel';

/** Names and defaults of the options that the module itself has for guards. */
export const GUARD_SPECS = {
  /**
   * What becomes of leases while Redis cannot be reached: guarded work is refused, to be tried again, or PostgreSQL keeps
   * all leases beside Redis and goes on alone. Without the module's option `redis`, PostgreSQL keeps them anyway.
   */
  withoutRedis: oneOf(['refuse', 'postgres'], 'refuse'),
};

/** Options of an instance's guards. Those of {@link MessageIdGuard} are of the message-id guard. */
export type ModuleGuardOptions = MessageIdGuardOptions & {
  readonly withoutRedis?: 'refuse' | 'postgres';
  /** Of handlers with `guard: 'lease'` and of the injected {@link LeaseGuard}. Default window: the message-id guard's. */
  readonly lease?: LeaseGuardOptions;
  /** Of requests with an `Idempotency-Key`. Default window: a day; a duplicate does not wait. */
  readonly requests?: LeaseGuardOptions;
  /** Of the injected {@link ExternalEffects}. */
  readonly effects?: ExternalEffectsOptions;
  /** Of the injected {@link BarrierParticipant}. */
  readonly barrier?: BarrierOptions;
  readonly retention?: GuardRetentionOptions;
};
