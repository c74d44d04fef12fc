import type { BoundStatement } from '@waybill/kernel';
import type { BatchOutcome } from '../delivery/delivery-transaction.js';
import type { Permit } from '../delivery/permits.js';
import { plainVerdict, type Verdict } from '../delivery/verdict-writer.js';
import type { ParkedLane } from '../parked/parked-lane.js';
import type { MessageToPark } from '../parked/parked-store.js';
import type { LaneRecord } from '../record/lane-record.js';
import type { Verdict as RecordVerdict } from '../progress/partition-progress.js';
import type { FailureTools, FollowedMessage } from '../retry/follow-failure.js';
import type { CrashCharges } from './crash-charges.js';
import type { LaneProgress } from './lane-progress.js';
import type { LaneWindow } from './lane-window.js';

/** Processes messages from the log for a lane: runs them, stores their verdicts, and parks them. */
export class LogMessages {
  constructor(
    private readonly tools: FailureTools,
    private readonly parked: ParkedLane,
    private readonly progress: LaneProgress,
    private readonly charges: CrashCharges,
    private readonly window: LaneWindow<LaneRecord>,
  ) {}

  /** Makes an attempt with records that share a transaction, as long as they succeed. */
  async run(records: readonly LaneRecord[], attempt: number, permit: Permit): Promise<BatchOutcome> {
    if (records.length === 0) return { done: [], failed: undefined };
    return this.tools.attempts.run(records, attempt, permit, (done, dropped) =>
      this.#verdict(done, (record) => (dropped.has(record) ? 'dropped' : 'done')),
    );
  }

  /** Parks messages. @param more statements to commit with it */
  async park(
    messages: readonly MessageToPark[],
    permit: Permit,
    more: readonly BoundStatement[] = [],
  ): Promise<void> {
    const verdict = this.#verdict(
      messages.map(({ record }) => record),
      () => 'parked',
    );
    await this.parked.park(messages, verdict, permit, more);
  }

  /** A record that is followed until it ends. */
  followed(record: LaneRecord): FollowedMessage {
    return {
      record,
      history: { attempts: 0, failingSince: undefined },
      verdict: (kind) => this.#verdict([record], () => kind),
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

  get #isInTurn(): boolean {
    return this.tools.environment.subscription.concurrency === 'partition';
  }

  /**
   * The position is the verdict on all records below it. Those above, which have overtaken others in order `key`, are marked;
   * so are there those that were not handled, for those who look what became of them.
   */
  #verdict(records: readonly LaneRecord[], kindOf: (record: LaneRecord) => RecordVerdict): Verdict {
    const { progress } = this.tools.environment;
    const position = this.window.positionWith(records);
    const byKind = new Map<RecordVerdict, number[]>();
    for (const record of records) {
      const kind = kindOf(record);
      if (record.offset < position && (kind === 'done' || this.#isInTurn)) continue;
      const offsets = byKind.get(kind);
      if (offsets === undefined) byKind.set(kind, [record.offset]);
      else offsets.push(record.offset);
    }
    const marks = [...byKind].map(([kind, offsets]) => progress.mark(offsets, kind));
    const committed = (): void => this.window.done(records);
    if (position > this.progress.position) return this.progress.advance(position, marks, committed);
    return plainVerdict([...marks, progress.fence()], committed);
  }
}
