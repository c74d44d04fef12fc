/** Why a message is given up because of what it did to its process or connection. */
export interface CrashVerdict {
  readonly reason: 'process-crashed' | 'connection-lost';
  readonly times: number;
  readonly error: Error;
}

/** The verdict on a message that has done so this many times. */
export function crashVerdict(reason: CrashVerdict['reason'], times: number): CrashVerdict {
  const error = new Error(
    reason === 'process-crashed'
      ? `its handler took the process down ${times} times`
      : `the connection of its transaction was lost ${times} times while it ran alone`,
  );
  return { reason, times, error };
}
