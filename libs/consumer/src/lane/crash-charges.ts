import type { ConnectionLosses } from '../retry/connection-losses.js';
import type { LaneAttempts } from '../retry/attempts.js';
import type { LaneSetting } from '../retry/lane-context.js';
import type { Place } from '../delivery/permits.js';

/** Where a lane begins. */
export interface LaneStart {
  /** Everything below is done. */
  readonly position: number;
  /** Records below may have taken a process down, and run alone. */
  readonly suspectEnd: number;
  /** Records that may have ended their connection, and run alone as well. */
  readonly losses: ConnectionLosses;
  /** Whether this process has had a lane on the partition since it took it over: nothing has taken it down meanwhile. */
  readonly again: boolean;
}

/** Counts how often records of the log have taken their process down: only one that runs alone is charged for it. */
export class LaneCharges {
  constructor(
    private readonly setting: LaneSetting,
    private readonly attempts: LaneAttempts,
    /** How often records were begun alone, by offset. */
    private readonly begun: ReadonlyMap<number, number>,
    private readonly start: LaneStart,
  ) {}

  /**
   * Asks whether a record that is to run alone has done so too often.
   * @returns the reason to give it up, and what to say of it
   */
  async verdict(offset: number, place: Place): Promise<CrashVerdict | undefined> {
    const { maxCrashes } = this.setting.context;
    const losses = Math.floor(this.start.losses.count(offset));
    if (losses >= maxCrashes) return crashVerdict('connection-lost', losses);
    if (offset >= this.start.suspectEnd) return undefined;
    const crashes = await this.#charge(offset, place);
    return crashes >= maxCrashes ? crashVerdict('process-crashed', crashes) : undefined;
  }

  /** Notes that a record is begun alone; resolves to how many crashes it has to answer for. */
  async #charge(offset: number, place: Place): Promise<number> {
    const { position, suspectEnd } = this.start;
    // The only record that was in flight was alone then, too: that crash is its own.
    const onlySuspect =
      (this.begun.get(offset) ?? 0) === 0 && suspectEnd === offset + 1 && position === offset;
    if (onlySuspect) await this.#note(offset, place);
    return (await this.#note(offset, place)) - 1;
  }

  /** The record has a verdict: what it was charged with is forgotten. */
  async clear(offset: number, place: Place): Promise<void> {
    this.start.losses.clear(offset);
    if (offset >= this.start.suspectEnd) return;
    const { progress } = this.setting;
    await this.attempts.settle([progress.clearCharges(offset), progress.fence()], place);
  }

  async #note(offset: number, place: Place): Promise<number> {
    const { progress } = this.setting;
    const [rows] = await this.attempts.settle([progress.charge(offset), progress.fence()], place);
    return (rows as { charges: number }[])[0]?.charges ?? 1;
  }
}

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
