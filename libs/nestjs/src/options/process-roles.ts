import type { ConsumerOptions } from '@waybill/consumer';
import type { RelayOptions } from '@waybill/outbox';
import { type TimerServiceOptions } from '@waybill/timer';
import { DEFAULT_REDIS_PREFIX } from '@waybill/timer/internal';
import type { WaybillModuleOptions } from './waybill-options.js';

/** What a process does for its instance, and how. */
export interface ProcessRoles {
  /** Undefined where this process does not relay. */
  readonly relay: RelayOptions | undefined;
  /** Undefined where this process does not fire timers. */
  readonly scheduler: TimerServiceOptions | undefined;
  /** Undefined where this process does not consume. */
  readonly consumer: ConsumerOptions | undefined;
  /** Begins the name of every key in Redis. */
  readonly redisPrefix: string;
  /**
   * Whether this process maintains tables beyond publishing: it has the rights of a service then. One that neither relays
   * nor consumes only publishes, and its login may be allowed no more than that.
   */
  readonly hasUpkeep: boolean;
}

/** The roles of a process, from its module's options. */
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
