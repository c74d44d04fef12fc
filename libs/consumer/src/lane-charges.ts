import type { LaneAttempts } from './lane-attempts.js';
import type { LaneSetting } from './lane-context.js';
import type { Place } from './slots.js';

/** Where a lane begins. */
export interface LaneStart {
  /** Everything below is done. */
  readonly position: number;
  /** Records below may have taken a process down, and run alone. */
  readonly suspectEnd: number;
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

  /** Notes that a record is begun alone; resolves to how many crashes it has to answer for. */
  async charge(offset: number, place: Place): Promise<number> {
    const { position, suspectEnd } = this.start;
    // The only record that was in flight was alone then, too: that crash is its own.
    const onlySuspect =
      (this.begun.get(offset) ?? 0) === 0 && suspectEnd === offset + 1 && position === offset;
    if (onlySuspect) await this.#note(offset, place);
    return (await this.#note(offset, place)) - 1;
  }

  /** The record has a verdict: what it was charged with is forgotten. */
  async clear(offset: number, place: Place): Promise<void> {
    const { context, progress } = this.setting;
    const { session } = context.databases.bus;
    await this.attempts.untilReachable(place, () => progress.clearCharges(session, offset));
  }

  #note(offset: number, place: Place): Promise<number> {
    const { context, progress } = this.setting;
    const { session } = context.databases.bus;
    return this.attempts.untilReachable(place, () => progress.charge(session, offset));
  }
}
