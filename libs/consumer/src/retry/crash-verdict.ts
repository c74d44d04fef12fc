/** Why a message is set aside because of crashes or lost connections. */
export interface CrashVerdict {
  readonly reason: 'process-crashed' | 'connection-lost';
  readonly times: number;
  readonly error: Error;
}

/**
 * The verdict on a message with this many crashes or lost connections while it ran alone; undefined below the limit.
 * @param times with a fraction for losses in which the message is hardly at fault
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
      ? `its handler crashed the process ${whole} times`
      : `the connection of its transaction was lost ${whole} times while it ran alone`,
  );
  return { reason, times: whole, error };
}
