import type { ConsumerOptions } from '@waybill/consumer';
import type { RelayOptions } from '@waybill/outbox';
import { type TimerServiceOptions } from '@waybill/timer';
import { DEFAULT_REDIS_PREFIX } from '@waybill/timer/internal';
import type { WaybillModuleOptions } from './waybill-options.js';

/** The work of a process for its instance, and its options. */
export interface ProcessRoles {
  /** Undefined if this process does not relay. */
  readonly relay: RelayOptions | undefined;
  /** Undefined if this process does not fire timers. */
  readonly scheduler: TimerServiceOptions | undefined;
  /** Undefined if this process does not consume. */
  readonly consumer: ConsumerOptions | undefined;
  /** The prefix of every key in Redis. */
  readonly redisPrefix: string;
  /**
   * Whether this process maintains tables as well as publishing; it then has the privileges of a service. A process
   * that neither relays nor consumes only publishes, and its login may have no other privileges.
   */
  readonly hasUpkeep: boolean;
}

/** Derives the roles of a process from its module's options. */
export function processRoles(
  options: Pick<WaybillModuleOptions, 'relay' | 'scheduler' | 'consumer'>,
): ProcessRoles {
  const { relay = true, scheduler = relay !== false, consumer = true } = options;
  const timers = given(scheduler);
  return {
    relay: given(relay),
    scheduler: timers,
    redisPrefix: timers?.prefix ?? DEFAULT_REDIS_PREFIX,
    consumer: given(consumer),
    hasUpkeep: relay !== false || consumer !== false,
  };
}

function given<Options extends object>(option: boolean | Options): Options | Partial<Options> | undefined {
  if (option === false) return undefined;
  return option === true ? {} : option;
}
