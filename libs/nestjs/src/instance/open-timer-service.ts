import { TimerService, type TimerServiceDependencies } from '@waybill/timer';
import type { WaybillModuleOptions } from '../options/waybill-options.js';

/** What fires timers in this process: where messages are relayed, unless the options say otherwise. */
export function timerService(
  { relay, redis, scheduler = relay !== false }: WaybillModuleOptions,
  parts: TimerServiceDependencies,
): TimerService | undefined {
  if (scheduler === false) return undefined;
  const options = typeof scheduler === 'object' ? scheduler : {};
  return new TimerService({ ...parts, ...(redis === undefined ? {} : { redis }) }, options);
}
