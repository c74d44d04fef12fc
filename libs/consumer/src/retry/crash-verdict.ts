/** Why a message is given up because of what it did to its process or connection. */
export interface CrashVerdict {
  readonly reason: 'process-crashed' | 'connection-lost';
  readonly times: number;
  readonly error: Error;
}

/**
 * The verdict on a message that has done so this many times, alone; undefined below the limit.
 * @param times with a fraction where it was hardly the message's doing
 */
export function crashVerdict(
  reason: CrashVerdict['reason'],
  times: number,
  maxCrashes: number,
): CrashVerdict | undefined {
  const whole = Math.floor(times);
  if (whole < maxCrashes) return undefined;
  const error = new Error(
    reason === 'process-crashed'
      ? `its handler took the process down ${whole} times`
      : `the connection of its transaction was lost ${whole} times while it ran alone`,
  );
  return { reason, times: whole, error };
}
