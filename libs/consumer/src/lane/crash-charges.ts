import { type CrashVerdict, crashVerdict } from '../retry/crash-verdict.js';
import type { LaneStart } from '../retry/lane-start.js';
import type { LaneAttempts } from '../retry/attempts.js';
import type { LaneSetting } from '../retry/lane-context.js';
import type { Place } from '../delivery/permits.js';

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
