import type { BoundStatement } from '@waybill/kernel';
import type { BatchOutcome } from '../delivery/delivery-transaction.js';
import type { Permit } from '../delivery/permits.js';
import type { ParkedLane } from '../parked/parked-lane.js';
import type { MessageToPark } from '../parked/parked-store.js';
import type { LaneRecord } from '../record/lane-record.js';
import type { FailureTools, FollowedMessage } from '../retry/follow-failure.js';
import type { CrashCharges } from './crash-charges.js';
import type { LaneProgress } from './lane-progress.js';

/** Processes messages from the log for a lane: runs them, stores their verdicts, and parks them. */
export class LogMessages {
  constructor(
    private readonly tools: FailureTools,
    private readonly parked: ParkedLane,
    private readonly progress: LaneProgress,
    private readonly charges: CrashCharges,
  ) {}

  /** Whether deliveries do not store the position themselves. */
  get storePositionApart(): boolean {
    return !this.#isInTurn;
  }

  get #isInTurn(): boolean {
    return this.tools.environment.subscription.concurrency === 'partition';
  }

  /** Makes an attempt with records that share a transaction. */
  async run(records: readonly LaneRecord[], attempt: number, permit: Permit): Promise<BatchOutcome> {
    if (records.length === 0) return { done: [], failed: undefined };
    const outcome = await this.tools.attempts.run(records, attempt, permit, (done) =>
      this.#verdict(done, 'done'),
    );
    this.#committed(outcome.done);
    return outcome;
  }

  /** Parks messages. @param more statements to commit with it */
  async park(
    messages: readonly MessageToPark[],
    permit: Permit,
    more: readonly BoundStatement[] = [],
  ): Promise<void> {
    const records = messages.map(({ record }) => record);
    await this.parked.park(messages, [...more, ...this.#verdict(records, 'parked')], permit);
    this.#committed(records);
  }

  /** A record that is followed until it ends. */
  followed(record: LaneRecord): FollowedMessage {
    return {
      record,
      history: { attempts: 0, failingSince: undefined },
      verdict: (kind) => this.#verdict([record], kind),
      ended: () => this.#committed([record]),
      awaitOperator: (failing, letter, permit) =>
        this.park([{ ...failing, delayMs: 'decision' }], permit, letter),
      wait: async (failing, delayMs, permit) => {
        if (this.#isInTurn || this.parked.room === 0) return false;
        await this.park([{ ...failing, delayMs }], permit);
        return true;
      },
      survived: (permit) => this.charges.survived(record.offset, permit),
      attempt: async (attempt, permit) => (await this.run([record], attempt, permit)).failed,
    };
  }

  /** In order `partition` the position itself is the verdict; in order `key` each record is marked. */
  #verdict(
    records: readonly LaneRecord[],
    verdict: 'done' | 'dead' | 'parked' | 'expired' | 'dropped',
  ): BoundStatement[] {
    const { progress } = this.tools.environment;
    const last = records.at(-1);
    if (last === undefined) return [progress.fence()];
    if (this.#isInTurn) return [this.progress.advance(last.offset + 1)];
    const offsets = records.map(({ offset }) => offset);
    return [progress.mark(offsets, verdict), progress.fence()];
  }

  /** Records what a commit has stored. */
  #committed(records: readonly LaneRecord[]): void {
    const last = records.at(-1);
    if (last !== undefined && this.#isInTurn) this.progress.committed(last.offset + 1);
  }
}
