import {
  BackgroundService,
  Bell,
  type Clock,
  IdlePace,
  type Logger,
  type PassResult,
  type SqlSession,
} from '@waybill/kernel';
import type { LogSignals } from '@waybill/log';
import type { PartitionLane } from './partition-lane.js';
import type { RedrivenRow } from '../parked/parked-lane.js';
import { listRedriven } from '../statements.generated.js';

/** Longest time until an operator's decision is noticed without a signal, in milliseconds. */
const LOOK_MS = 2_000;
/** The same when none was noticed for a minute and signals are received. */
const LOOK_IDLE_MS = 10_000;

/** What a {@link RedriveWatch} works with. */
export interface RedriveWatchDependencies {
  readonly session: SqlSession;
  readonly signals: LogSignals;
  readonly group: string;
  readonly groupId: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The open lanes. */
  readonly lanes: () => readonly PartitionLane[];
  /** Has every lane check whether something may run. */
  readonly wake: () => void;
}

/** Passes operators' decisions about dead letters, redriven or discarded, to a consumer's lanes. */
export class RedriveWatch {
  readonly #service: BackgroundService;
  readonly #pace: IdlePace;
  #unsubscribe: (() => void) | undefined;

  constructor(private readonly dependencies: RedriveWatchDependencies) {
    const { group, clock, logger, signals } = dependencies;
    const isAnnounced = (): boolean => signals.listening;
    this.#pace = new IdlePace({ busyMs: LOOK_MS, quietMs: LOOK_IDLE_MS, isAnnounced, clock });
    this.#service = new BackgroundService({
      name: `the redrive watch of group ${group}`,
      runOnce: () => this.#look(),
      idleMinMs: LOOK_MS,
      idleMaxMs: this.#pace,
      bell: new Bell(),
      clock,
      logger,
    });
  }

  start(): void {
    this.#unsubscribe = this.dependencies.signals.subscribe('redrive', this.#service.bell);
    this.#service.start();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#service.stop();
  }

  async #look(): Promise<PassResult> {
    const { session, groupId, wake } = this.dependencies;
    const lanes = this.dependencies.lanes();
    if (lanes.length === 0) return 'idle';
    const partitionIds = lanes.map(({ partitionId }) => partitionId);
    const rows = await session.run(listRedriven, groupId, partitionIds);
    const byPartition = new Map<number, RedrivenRow[]>(partitionIds.map((id) => [id, []]));
    if (rows.length > 0) this.#pace.worked();
    for (const row of rows) byPartition.get(row.partitionId)?.push(row);
    for (const lane of lanes) lane.reconcile(byPartition.get(lane.partitionId) ?? []);
    wake();
    return 'idle';
  }
}
