import { type Clock, IdlePace } from '@waybill/kernel';

/** How often a consumer reads a log in which nothing happens. */
interface FetchPaceOptions {
  readonly pollMaxMs: number;
  readonly pollIdleMs: number;
  readonly heartbeatMs: number;
}

/**
 * The pace of a consumer's reads without a result. By them it also notices that the log is unreadable, which it must do several
 * times in a lease.
 * @param isAnnounced whether records are announced, and nothing else waits for the next read
 */
export function fetchPace(options: FetchPaceOptions, isAnnounced: () => boolean, clock: Clock): IdlePace {
  const { pollMaxMs, pollIdleMs, heartbeatMs } = options;
  return new IdlePace({
    busyMs: pollMaxMs,
    quietMs: Math.min(pollIdleMs, heartbeatMs),
    isAnnounced,
    clock,
  });
}
