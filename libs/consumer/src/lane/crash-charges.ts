import { type CrashVerdict, crashVerdict } from '../retry/crash-verdict.js';
import type { LaneStart } from '../retry/lane-start.js';
import type { VerdictWriter } from '../delivery/verdict-writer.js';
import type { LaneEnvironment } from '../retry/lane-context.js';
import type { Permit } from '../delivery/permits.js';

/** Counts how often records of the log have crashed their process: only a record that runs alone is charged. */
export class CrashCharges {
  constructor(
    private readonly environment: LaneEnvironment,
    private readonly writer: VerdictWriter,
    /** How often records were started alone, by offset. */
    private readonly begun: ReadonlyMap<number, number>,
    private readonly start: LaneStart,
  ) {}

  /**
   * Checks whether a record that is to run alone has crashed too often.
   * @returns the reason to set it aside and its description
   */
  async verdict(offset: number, permit: Permit): Promise<CrashVerdict | undefined> {
    const { maxCrashes } = this.environment.context;
    const lost = crashVerdict('connection-lost', this.start.losses.count(offset), maxCrashes);
    if (lost !== undefined || offset >= this.start.suspectEnd) return lost;
    return crashVerdict('process-crashed', await this.#charge(offset, permit), maxCrashes);
  }

  /** Charges a record that is started alone; resolves to the number of crashes attributed to it. */
  async #charge(offset: number, permit: Permit): Promise<number> {
    const { position, suspectEnd, charged, again } = this.start;
    const before = this.begun.get(offset) ?? 0;
    // The only record in flight was alone then, too: that crash is attributed to it.
    const onlySuspect = !again && before === 0 && suspectEnd === offset + 1 && position === offset;
    let charges = before;
    // None if this process was charged already and has not crashed since: the lane ended for another reason.
    for (let missing = charged.missing(offset, before, onlySuspect ? 2 : 1); missing > 0; missing -= 1)
      charges = await this.#note(offset, permit);
    return charges - 1;
  }

  /** The record has ended: its charges are deleted. */
  async clear(offset: number, permit: Permit): Promise<void> {
    this.start.losses.clear(offset);
    await this.#forget(offset, permit);
  }

  /** An attempt has failed without a crash: only lost connections still count. */
  async survived(offset: number, permit: Permit): Promise<void> {
    if (this.start.charged.has(offset)) await this.#forget(offset, permit);
  }

  async #forget(offset: number, permit: Permit): Promise<void> {
    if (offset >= this.start.suspectEnd) return;
    const { progress } = this.environment;
    await this.writer.write([progress.clearCharges(offset), progress.fence()], permit);
    this.start.charged.clear(offset);
  }

  async #note(offset: number, permit: Permit): Promise<number> {
    const { progress } = this.environment;
    const [rows] = await this.writer.write([progress.charge(offset), progress.fence()], permit);
    return (rows as { charges: number }[])[0]?.charges ?? 1;
  }
}
